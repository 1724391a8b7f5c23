/**
 * `npm run drill:chain -- --count N --seed S [--from I] [--inputs M]`: N mutations of chains, on which the library and the
 * reference verifier have to agree, then M inputs (ten times N unless said) to the parser, which may answer with its own codes only
 * and keeps nothing. Progress and memory go to standard error; the last line on standard output is the result.
 */
import { parseArgs } from 'node:util';
import { compareMutations } from './compare-mutations.ts';
import { feedParser } from './feed-parser.ts';

const DEFAULT_COUNT = 100_000;
const DEFAULT_SEED = 'behalf';

function runDrill(): void {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: String(DEFAULT_COUNT) },
      inputs: { type: 'string' },
      from: { type: 'string', default: '0' },
      seed: { type: 'string', default: DEFAULT_SEED },
    },
  });
  const count = Number(values.count);
  const range = { seed: values.seed, from: Number(values.from), count };
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const mutations = compareMutations(range, say);
  const inputs = feedParser({ ...range, count: Number(values.inputs ?? count * 10) }, say);
  const failed = [...mutations.failed, ...inputs.failed];
  const tried = mutations.tried + inputs.tried;
  const held = mutations.held + inputs.held;
  process.stdout.write(`${JSON.stringify({ drill: 'chain', tried, held, failed })}\n`);
  if (held !== tried) process.exitCode = 1;
}

if (import.meta.main) runDrill();
