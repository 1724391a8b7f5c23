import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runDrill } from './drill.ts';

const DEAF = fileURLToPath(new URL('../../mesh/patches/deaf-to-revocations.ts', import.meta.url));
const TINY = { runs: 1, cutOffRuns: 0, concurrency: 6, streams: 30, beforeMs: 200, withinMs: 5_000 };

test('withdrawn under load, a consent ends for one user within a second, and for nobody else', async () => {
  const lines: object[] = [];
  const result = await runDrill(TINY, (line) => lines.push(line));
  process.stderr.write(`${JSON.stringify(lines[0])}\n`);
  expect(result).toEqual({ drill: 'withdrawal', tried: 1, held: 1, failed: [] });
}, 120_000);

test('a sidecar that is cut off refuses once its live state is too old, the others within a second', async () => {
  const lines: object[] = [];
  const result = await runDrill({ ...TINY, runs: 0, cutOffRuns: 1 }, (line) => lines.push(line));
  process.stderr.write(`${JSON.stringify(lines[0])}\n`);
  expect(result).toEqual({ drill: 'withdrawal', tried: 1, held: 1, failed: [] });
}, 180_000);

test('the drill sees it where revocations end no running call', async () => {
  const nodeArgs = (child: string): string[] => (child.endsWith(' sidecar') ? ['--import', DEAF] : []);
  const { held, failed } = await runDrill({ ...TINY, concurrency: 2, nodeArgs }, () => undefined);
  expect(held).toBe(0);
  expect(failed[0]?.broken.join()).toMatch(/0 of 3 streams were broken off/);
}, 120_000);
