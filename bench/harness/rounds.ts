/**
 * Measures several ways of doing the same against each other: in each round every one of them has a turn, in an order that
 * turns around from round to round, so that a machine that gets slower or faster meanwhile favours none. What is given is the
 * median over the rounds, and for two of them the median of the rounds' ratios.
 */

export interface RoundLimits {
  readonly rounds: number;
  /** About how much processor time one turn takes; how many operations that is, is found out beforehand. */
  readonly turnCpuMs: number;
  /** No new round begins after this long, as soon as there are `MIN_ROUNDS`. */
  readonly wallMs: number;
}

interface Named {
  readonly name: string;
  /** Operations that a turn has at least, such as what runs at once. */
  readonly leastTimes?: number;
  /** Makes what the turn will work on. Not measured. */
  prepare?(times: number): void;
}

/** Does work `times` times, and throws unless it was really done. */
export interface Work extends Named {
  run(times: number): void;
}

/** Answers `times` requests, and throws unless they were really answered; gives how long each took, in milliseconds. */
export interface Traffic extends Named {
  answer(times: number): Promise<readonly number[]>;
}

export type Contestant = Work | Traffic;

export interface Measured {
  /** Processor time of one operation in microseconds, user and system, all threads of this process. One a round. */
  readonly cpuUs: readonly number[];
  /** Half of the operations took at most this long, in milliseconds. One a round; empty for work that is no traffic. */
  readonly p50Ms: readonly number[];
}

/** An even smaller number of rounds says nothing. */
const MIN_ROUNDS = 3;
const MAX_TIMES = 1_000_000;

/** Runs the rounds; by name. */
export async function runRounds(
  contestants: readonly Contestant[],
  { rounds, turnCpuMs, wallMs }: RoundLimits,
): Promise<ReadonlyMap<string, Measured>> {
  const measured = new Map(contestants.map(({ name }) => [name, { cpuUs: [] as number[], p50Ms: [] as number[] }]));
  const times = new Map<string, number>();
  for (const contestant of contestants) times.set(contestant.name, await timesForTurn(contestant, turnCpuMs));
  const beganMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round >= MIN_ROUNDS && performance.now() - beganMs > wallMs) break;
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const { cpuUs, p50Ms } = measured.get(contestant.name)!;
      const turn = await takeTurn(contestant, times.get(contestant.name)!);
      cpuUs.push(turn.cpuUs);
      if (turn.latencies.length > 0) p50Ms.push(median(turn.latencies));
    }
  }
  return measured;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values, so no median');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median of the ratios of values that were measured in the same rounds. */
export function medianRatio(values: readonly number[], peers: readonly number[]): number {
  return median(values.map((value, round) => value / peers[round]!));
}

/** Doubles until a turn is long enough; that warms up, too. */
async function timesForTurn(contestant: Contestant, turnCpuMs: number): Promise<number> {
  const least = contestant.leastTimes ?? 1;
  for (let times = least; ; times *= 2) {
    const { cpuUs } = await takeTurn(contestant, times);
    const turnMs = (cpuUs * times) / 1000;
    if (turnMs < turnCpuMs / 2 && times < MAX_TIMES) continue;
    const wanted = Math.round((times * turnCpuMs) / turnMs);
    return Math.max(least, Math.min(wanted, times * 2, MAX_TIMES));
  }
}

async function takeTurn(
  contestant: Contestant,
  times: number,
): Promise<{ readonly cpuUs: number; readonly latencies: readonly number[] }> {
  contestant.prepare?.(times);
  const before = process.cpuUsage();
  let latencies: readonly number[] = [];
  if ('answer' in contestant) latencies = await contestant.answer(times);
  else contestant.run(times);
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / times, latencies };
}
