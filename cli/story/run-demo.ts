/**
 * `behalf up --demo`: starts the demo shop behind its mesh, tells its story in five acts, and stays up. What it claims at the
 * end is counted from the record, through the collector's public API.
 */
import type { ExitCode } from '../command.ts';
import type { Style } from '../draw/style.ts';
import { duration } from '../draw/words.ts';
import { openMeshLog } from '../mesh/mesh-log.ts';
import { startMesh } from '../mesh/start-mesh.ts';
import { takeStateDir } from '../mesh/state-dir.ts';
import { listenForStop, unlessStopped } from '../mesh/until-stopped.ts';
import { answer } from '../output.ts';
import { tellIdentities } from './act-1-identities.ts';
import { tellConsent } from './act-2-consent.ts';
import { tellRequest } from './act-3-request.ts';
import { type ToldAttacks, tellAttacks } from './act-4-attacks.ts';
import { tellLog } from './act-5-log.ts';
import { type Demo, makeDemo } from './demo-plan.ts';
import { type ToldHops, tellWhatToTry } from './epilogue.ts';
import { openStage, type Stage, untilRecorded } from './stage.ts';
import { createTeller, type Teller } from './teller.ts';

export interface RunDemo {
  readonly directory: string;
  readonly once: boolean;
  readonly json: boolean;
  readonly style: Style;
}

/** The last line of `--once --json` (issue contract). */
interface DemoResult extends ToldAttacks {
  readonly ok: boolean;
  readonly hops: number;
  readonly denied: number;
  readonly logSize: number;
  readonly inclusionVerified: number;
  readonly startupMs: number;
  /** For the person to look at. Not in the line. */
  readonly toldHops: ToldHops;
}

/** Runs it. @throws {BehalfError} what `startMesh` throws; nothing is left running then */
export async function runDemo({ directory, once, json, style }: RunDemo): Promise<ExitCode> {
  const stop = listenForStop();
  const tell = createTeller(style, process.stdout);
  const dir = takeStateDir(directory, { fresh: true });
  const log = openMeshLog(dir);
  tell.prose(
    style.bold(
      'Behalf: every call proves on whose authority it runs, and leaves a record that cannot be quietly changed.',
    ),
    '',
  );
  const demo = makeDemo(dir);
  const progress = (what: string) => tell.line(style.dim(`starting ${what}`));
  const mesh = await unlessStopped(stop, startMesh({ plan: demo.plan, dir, log, signal: stop.signal, progress }));
  if (mesh === null) return 1;
  const startupMs = Math.round(performance.now());
  const stage = openStage(mesh, demo, tell, log);
  try {
    tell.line(style.dim(`up after ${duration(startupMs * 1000)}: ${mesh.children.names().length} processes`));
    const result = await Promise.race([
      tellStory(stage, demo, tell, startupMs),
      mesh.children.died,
      interrupted(stop.asked),
    ]);
    if (result !== null) {
      if (!once) await tellWhatToTry(stage, result.toldHops);
      if (json) answer(orderedResult(result));
    }
    if (!once && result !== null) {
      await Promise.race([stop.asked, mesh.children.died]);
      tell.line('', 'Ending.');
    }
    return result?.ok === true ? 0 : 1;
  } finally {
    stage.close();
    await mesh.stop();
  }
}

async function interrupted(asked: Promise<void>): Promise<null> {
  await asked;
  return null;
}

async function tellStory(stage: Stage, demo: Demo, tell: Teller, startupMs: number): Promise<DemoResult> {
  await tellIdentities(stage);
  const tokens = await tellConsent(stage);
  const told = await tellRequest(stage, tokens.accessToken);
  const { attacks, revocationMs } = await tellAttacks(stage, {
    accessToken: tokens.accessToken,
    consentId: tokens.consentId,
    told,
  });
  const inclusionVerified = await tellLog(stage, told);
  const { hops, denied, logSize } = await settledSummary(stage);
  tell.check(
    demo.guard.on ? attacks.length === 5 : attacks.length === 4,
    `${attacks.length} attacks were made, and each was refused${demo.guard.on ? '; the one at the local port before it was a call' : ''}`,
  );
  return {
    ok: tell.allHold() && revocationMs !== null,
    hops,
    denied,
    logSize,
    inclusionVerified,
    revocationMs,
    startupMs,
    attacks,
    toldHops: {
      allowed: told.request.hops.at(-1)!.id,
      refused: attacks.find(({ name }) => name === 'scope-not-granted')?.hop ?? null,
    },
  };
}

/** The record's totals once both sides of every call are in it. */
async function settledSummary({ query, tell }: Stage): Promise<{ hops: number; denied: number; logSize: number }> {
  let last = await query.summary({});
  const settled = await untilRecorded(async () => {
    last = await query.summary({});
    return last.oneSided === 0 ? last : null;
  });
  tell.check(
    settled !== null,
    `${last.hops} calls are on record, ${last.denied} of them refused, ${last.oneSided} reported by one side only`,
  );
  return { hops: last.hops, denied: last.denied, logSize: last.logSize };
}

function orderedResult({
  ok,
  hops,
  denied,
  logSize,
  inclusionVerified,
  revocationMs,
  startupMs,
  attacks,
}: DemoResult): object {
  return { ok, hops, denied, logSize, inclusionVerified, revocationMs, startupMs, attacks };
}
