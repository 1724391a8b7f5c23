/**
 * `npm run drill:memory -- [--transactions N] [--requests N]`: memory stays flat over a million distinct transactions, each with a user,
 * root and links of its own: through the judging half of a sidecar, and as many requests as given through a real pair. Prints what
 * is in use at start, in the middle and at the end, a line of JSON each, and ends with 1 where it is not flat. 0 leaves a part out.
 */
import { parseArgs } from 'node:util';
import { runCalls } from './calls.ts';
import { growthOf, type MemoryInUse } from './memory-in-use.ts';
import { runPair } from './pair.ts';

export interface DrillResult {
  readonly drill: 'memory';
  readonly tried: number;
  readonly held: number;
  readonly failed: readonly string[];
}

interface Measured {
  readonly what: string;
  readonly middle: MemoryInUse;
  readonly end: MemoryInUse;
}

export interface DrillOptions {
  readonly transactions: number;
  readonly requests: number;
  /** Called once a transaction; a test plants a leak here. */
  readonly alongside?: () => void;
}

export async function runDrill(
  { transactions, requests, alongside = () => undefined }: DrillOptions,
  say: (line: string) => void,
): Promise<DrillResult> {
  const measured: Measured[] = [];
  if (transactions > 0) {
    const calls = await runCalls({ transactions, alongside }, say);
    measured.push({ what: `calls, ${transactions} transactions`, ...calls });
  }
  if (requests > 0) {
    const { memory } = await runPair(requests, say);
    for (const [name, of] of Object.entries(memory)) measured.push({ what: `${name}, ${requests} requests`, ...of });
  }
  const failed = measured.flatMap(({ what, middle, end }) => {
    const growths = growthOf(middle, end);
    return growths.length === 0 ? [] : [`${what}: ${growths.join(', ')}`];
  });
  return { drill: 'memory', tried: measured.length, held: measured.length - failed.length, failed };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      transactions: { type: 'string', default: '1000000' },
      requests: { type: 'string', default: '20000' },
    },
  });
  const { transactions, requests } = values;
  const result = await runDrill(
    { transactions: Number(transactions), requests: Number(requests) },
    (line) => void process.stdout.write(`${line}\n`),
  );
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.held !== result.tried) process.exitCode = 1;
}
