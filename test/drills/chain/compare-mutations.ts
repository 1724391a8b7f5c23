/** The library and the reference verifier on many mutations of chains. */
import { compareVerdicts } from '../../chain-reference/compare.ts';
import { createMutator } from '../../chain-reference/mutations.ts';

/** Which cases: each is made from the seed and its number alone, so that a run can be cut up, resumed and repeated. */
export interface CaseRange {
  readonly seed: string;
  readonly from: number;
  readonly count: number;
}

export interface DrillCount {
  readonly tried: number;
  readonly held: number;
  /** The first of those that failed. */
  readonly failed: readonly string[];
}

export const MAX_FAILED = 50;

export function compareMutations({ seed, from, count }: CaseRange, say: (line: string) => void): DrillCount {
  const mutate = createMutator(seed);
  const verdicts = new Map<string, number>();
  const failed: string[] = [];
  let held = 0;
  for (let i = from; i < from + count; i++) {
    const { kind, vector } = mutate(i);
    const { verdict, difference } = compareVerdicts(vector);
    const name = `${kind} ${verdict}`;
    verdicts.set(name, (verdicts.get(name) ?? 0) + 1);
    if (difference === null) held++;
    else if (failed.length < MAX_FAILED) failed.push(`mutation ${seed}/${i}: ${difference}`);
    if ((i + 1 - from) % 10_000 === 0) say(`${i + 1 - from} mutations, ${held} agreed`);
  }
  for (const [name, times] of [...verdicts].sort()) say(`  ${name}: ${times}`);
  return { tried: count, held, failed };
}
