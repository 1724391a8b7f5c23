/** Traffic `many`, all ways side by side in the same rounds: chain, plain signatures, an exchange a hop, Biscuit. */
import { atMost, type Report } from '../harness/report.ts';
import { type Contestant, type Measured, median, medianRatio, type RoundLimits, runRounds } from '../harness/rounds.ts';
import { attenuated, type BiscuitHops } from './biscuit.ts';
import { openExchangePerHop } from './exchange.ts';
import type { BenchMesh } from './hops.ts';
import { delegated, MANY_HOPS, signAndVerify } from './many.ts';

const CHAIN = 'many: Behalf chain';
const PLAIN = 'many: plain sign and verify';
const EXCHANGE = 'many: RFC 8693 exchange a hop';
const BISCUIT = 'many: Biscuit';
const CPU_GOAL = 0.4;

export async function measureTraffic(
  bench: BenchMesh,
  { biscuit, report, limits }: { biscuit: BiscuitHops | Error; report: Report; limits: RoundLimits },
): Promise<void> {
  const exchange = await openExchangePerHop(EXCHANGE);
  try {
    const contestants: Contestant[] = [delegated(bench, CHAIN), signAndVerify(bench, PLAIN), exchange.contestant];
    if (!(biscuit instanceof Error)) contestants.push(attenuated(biscuit, BISCUIT));
    const measured = await runRounds(contestants, limits);
    const chain = measured.get(CHAIN)!;
    const plain = measured.get(PLAIN)!;
    reportWay(report, PLAIN, plain, null);
    reportWay(report, CHAIN, chain, [PLAIN, plain]);
    reportWay(report, EXCHANGE, measured.get(EXCHANGE)!, [CHAIN, chain]);
    if (biscuit instanceof Error) {
      const missing = { value: null, peer: CHAIN, ratio: null, why: `not available: ${biscuit.message}` };
      report.row({ row: BISCUIT, metric: 'cpu a hop', unit: 'us', ...missing });
      report.row({ row: BISCUIT, metric: 'p50', unit: 'ms', ...missing });
    } else {
      reportWay(report, BISCUIT, measured.get(BISCUIT)!, [CHAIN, chain]);
    }
    report.goal(
      atMost('many: cpu a hop over plain sign and verify', medianRatio(chain.cpuUs, plain.cpuUs), CPU_GOAL, {
        why: 'four of the thirteen signatures are of roots, 0.36 of the work: no scheme of link signatures reaches the goal (README)',
      }),
    );
    const added = median(chain.p50Ms.map((own, round) => own - plain.p50Ms[round]!));
    report.row({ row: CHAIN, metric: 'added p50', value: added, unit: 'ms', peer: PLAIN, ratio: null });
    report.goal(atMost('many: added p50 latency over plain, ms', added, 0));
  } finally {
    await exchange.close();
  }
}

function reportWay(report: Report, row: string, own: Measured, peer: readonly [string, Measured] | null): void {
  const against = (of: (measured: Measured) => readonly number[]) => ({
    peer: peer?.[0] ?? null,
    ratio: peer === null ? null : medianRatio(of(own), of(peer[1])),
  });
  report.row({
    row,
    metric: 'cpu a hop',
    value: median(own.cpuUs) / MANY_HOPS,
    unit: 'us',
    ...against(({ cpuUs }) => cpuUs),
  });
  report.row({ row, metric: 'p50', value: median(own.p50Ms), unit: 'ms', ...against(({ p50Ms }) => p50Ms) });
}
