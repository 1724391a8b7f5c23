/** The README cannot lie: its commands are run in their order, and what they print is what it shows. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findFreePorts } from '../cli/mesh/ports.ts';
import { debianProgram } from './mesh/debian.ts';
import { eventually } from './mesh/running-mesh.ts';
import { type Block, outputLines, walkthroughOf } from './readme/blocks.ts';
import { firstMissing, type Names, withNames } from './readme/output.ts';
import { openTerminal, type Terminal } from './readme/terminal.ts';

const root = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const README = readFileSync(root('README.md'), 'utf8');
const BLOCKS = walkthroughOf(README);
/** The entry's port in the README, and so in the example's behalf.yaml. */
const SHOWN_PORT = '8080';

let checkout: string;

beforeAll(() => {
  debianProgram('curl', 'curl');
  // A checkout after `npm ci`, as far as the walk-through needs it, with state of its own.
  checkout = mkdtempSync(join(tmpdir(), 'behalf-readme-'));
  for (const name of ['package.json', 'examples'])
    cpSync(root(name), join(checkout, name), {
      recursive: true,
      filter: (path) => !path.endsWith('.behalf'),
    });
  for (const name of ['cli', 'node_modules']) symlinkSync(root(name), join(checkout, name));
});

afterAll(() => rmSync(checkout, { recursive: true, force: true }));

const ofKind = (kind: string): Block[] => BLOCKS.filter((block) => block.kind === kind);

test.each(ofKind('file'))('what the README shows of $argument stands there', ({ argument, text }) => {
  expect(readFileSync(root(argument), 'utf8')).toContain(text);
});

test('npm start tells the story that the README shows', async () => {
  expect(README).toContain('npm ci && npm start ');
  const terminal = openTerminal(checkout);
  try {
    const printed = await terminal.run('npm start -- --once');
    const [story] = ofKind('story');
    expect(firstMissing(outputLines(story!.text), printed, new Map()), printed).toBeNull();
  } finally {
    await terminal.interrupt();
  }
}, 120_000);

test('the walk-through, typed in its order, prints what the README shows', async () => {
  const { ports, release } = await findFreePorts(1);
  const onOurPort = (text: string): string => text.replaceAll(SHOWN_PORT, String(ports[0]));
  const yaml = join(checkout, 'examples/notes/behalf.yaml');
  writeFileSync(yaml, onOurPort(readFileSync(yaml, 'utf8')));
  let first = openTerminal(checkout);
  const second = openTerminal(checkout);
  const names: Names = new Map();
  const up = async (terminal: Terminal): Promise<void> => {
    const [mesh] = ofKind('background');
    terminal.start(mesh!.text);
    const missing = (): string | null => firstMissing(mesh!.output.map(onOurPort), terminal.printed(), names);
    // `behalf: ` begins the word of one that gave up: then there is nothing to wait for.
    const settled = (): boolean => missing() === null || /^behalf: /m.test(terminal.printed());
    await eventually(async () => (settled() ? true : null), 60_000).catch(() => {});
    expect(missing(), terminal.printed()).toBeNull();
  };
  try {
    await up(first);
    for (const { text, output } of ofKind('run')) {
      const printed = await second.run(onOurPort(withNames(text, names)));
      expect(firstMissing(output.map(onOurPort), printed, names), `${text}\n${printed}`).toBeNull();
    }
    await first.interrupt();
    first = openTerminal(checkout);
    await up(first);
    expect(await second.run('npx behalf consent list'), 'it goes on with its state').toMatch(/ada .* withdrawn /);
  } finally {
    await second.interrupt();
    await first.interrupt();
    await release();
  }
  const left = (path: string): boolean => existsSync(join(checkout, 'examples/notes', path));
  expect(left('.behalf/mesh.json'), 'Ctrl-C ends the mesh in order').toBe(false);
  // The state that docs/architecture.md names is where it says.
  const state = [...readFileSync(root('docs/architecture.md'), 'utf8').matchAll(/`(\.behalf\/[\w./-]+)`/g)];
  expect(state.length).toBeGreaterThan(9);
  expect(state.map(([, path]) => path!).filter((path) => !left(path))).toEqual([]);
}, 180_000);
