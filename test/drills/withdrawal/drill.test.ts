import { expect, test } from 'vitest';
import { runDrill } from './drill.ts';

test('withdrawn under load, a consent ends for one user within a second, and for nobody else', async () => {
  const lines: object[] = [];
  const options = { runs: 1, concurrency: 6, streams: 20, beforeMs: 200 };
  const result = await runDrill(options, (line) => lines.push(line));
  process.stderr.write(`${JSON.stringify(lines[0])}\n`);
  expect(result).toEqual({ drill: 'withdrawal', tried: 1, held: 1, failed: [] });
}, 120_000);
