/**
 * `npm run drill:breach [-- --only NAME,…] [--table]`: an attacker with really stolen material against a mesh of real processes. Each
 * attempt is made twice: against the product as it is, where it must be refused or found out with its code, and against one in
 * whose processes exactly the checks that it aims at are off, where it must succeed. One JSON line an attempt, then the result.
 */
import { parseArgs } from 'node:util';
import type { StateDir } from '../../../cli/mesh/state-dir.ts';
import { type RunningMesh, runMesh } from '../../mesh/running-mesh.ts';
import { startBeyond } from './attacker/beyond.ts';
import { type Scene, setScene } from './attacker/scene.ts';
import { type Attempt, REACHED, type Tried } from './attempt.ts';
import { ALL_ATTEMPTS } from './attempts/index.ts';
import { breachMesh } from './breach-mesh.ts';
import { ALL_ON, hookArgs, setSwitch } from './off/switch.ts';
import { drawTable } from './table.ts';

export interface DrillResult {
  readonly drill: 'breach';
  readonly tried: number;
  readonly held: number;
  readonly failed: readonly Tried[];
}

/** Asked once more where an attempt with its check off did not succeed at once: some switches are looked at now and then. */
const TRIES = 3;

interface DrillOptions {
  /**
   * Makes the first round against processes that were started without any hook. Else all is done in one mesh, whose checks are
   * all on in the first round: half of the time, for `npm test`.
   */
  readonly untouched: boolean;
}

/** Runs the attempts; `say` gets each as it is known, `progress` words for who waits. */
export async function runDrill(
  attempts: readonly Attempt[],
  { untouched }: DrillOptions,
  say: (tried: Tried) => void,
  progress: (words: string) => void,
): Promise<DrillResult> {
  const possible = attempts.filter(({ name, impossible }) => {
    const why = impossible?.() ?? null;
    if (why !== null) progress(`not tried: ${name}: ${why}`);
    return why === null;
  });
  const guarded = new Map<string, string>();
  const tried: Tried[] = [];
  const first = async (scene: Scene): Promise<void> => {
    for (const attempt of possible) {
      await attempt.before?.(scene);
      guarded.set(attempt.name, await outcome(attempt, scene));
      progress(`${attempt.name}: ${guarded.get(attempt.name)}`);
    }
  };
  if (untouched) await withMesh(false, first);
  await withMesh(true, async (scene, switchFile) => {
    if (!untouched) await first(scene);
    for (const attempt of possible) {
      const { name, has, expect, off } = attempt;
      const observed = guarded.get(name) ?? '';
      await attempt.before?.(scene);
      const unguarded = await unguardedOutcome(attempt, scene, switchFile);
      const held = observed === expect && unguarded === REACHED;
      tried.push({ attempt: name, has, expected: expect, observed, off, unguarded, held });
      say(tried.at(-1)!);
    }
  });
  const failed = tried.filter(({ held }) => !held);
  return { drill: 'breach', tried: tried.length, held: tried.length - failed.length, failed };
}

async function unguardedOutcome(attempt: Attempt, scene: Scene, switchFile: string): Promise<string> {
  let seen = '';
  for (let n = 0; n < TRIES && seen !== REACHED; n += 1) {
    setSwitch(switchFile, { off: attempt.off, facts: attempt.facts?.(scene) ?? {} });
    try {
      seen = await outcome(attempt, scene);
    } finally {
      setSwitch(switchFile, ALL_ON);
    }
  }
  return seen;
}

async function outcome(attempt: Attempt, scene: Scene): Promise<string> {
  try {
    return await attempt.run(scene);
  } catch (error) {
    return `could not be tried: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A mesh whose `middle` is compromised; with `switchable` the checks of all its processes can be switched off. */
async function withMesh(switchable: boolean, use: (scene: Scene, switchFile: string) => Promise<void>): Promise<void> {
  const beyond = await startBeyond();
  let files = { switchFile: '', capture: '' };
  const plan = (dir: StateDir): ReturnType<typeof breachMesh> => {
    files = {
      switchFile: dir.write('breach/switch.json', JSON.stringify(ALL_ON)),
      capture: dir.file('breach', 'captured'),
    };
    return breachMesh(dir, beyond);
  };
  const nodeArgs = (child: string): readonly string[] => {
    const isPart = child.endsWith(' sidecar') || ['ca', 'authority', 'collector'].includes(child);
    return hookArgs({
      switchFile: switchable && isPart ? files.switchFile : null,
      capture: child === 'middle sidecar' ? files.capture : null,
    });
  };
  let running: RunningMesh | null = null;
  let scene: Scene | null = null;
  try {
    running = await runMesh(plan, { nodeArgs });
    scene = await setScene(running, beyond, files.capture);
    await use(scene, files.switchFile);
  } finally {
    await scene?.close();
    await running?.stop();
    await beyond.close();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, table: { type: 'boolean', default: false } },
  });
  const only = values.only?.split(',') ?? null;
  const attempts = ALL_ATTEMPTS.filter(({ name }) => only === null || only.includes(name));
  const all: Tried[] = [];
  const result = await runDrill(
    attempts,
    { untouched: true },
    (tried) => {
      all.push(tried);
      if (!values.table) process.stdout.write(`${JSON.stringify(tried)}\n`);
    },
    (words) => process.stderr.write(`${words}\n`),
  );
  if (values.table) process.stdout.write(drawTable(all));
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.held !== result.tried || result.tried === 0) process.exitCode = 1;
}
