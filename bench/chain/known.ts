/**
 * What a chain costs that the receiver has verified before: finding it in the cache, finding it by slot, and the whole judgement
 * of a call with every check that runs on each, once with the chain sent whole and once by slot.
 */
import { stillCounts } from '../../delegation/chain/signatures.ts';
import { createChainCache, parseChain, type VerifyContext, verifyChain } from '../../delegation/index.ts';
import { createReceivedSlots } from '../../sidecar/wire/slots.ts';
import type { Report } from '../harness/report.ts';
import { median, medianRatio, type RoundLimits, runRounds } from '../harness/rounds.ts';
import { type BenchMesh, checkReceived, findWitOf } from './hops.ts';

const HOPS = 3;
/** Known to the receiver at once, so that no row lives off one entry in the processor's cache. */
const CHAINS = 512;
const GOAL_US = 1;
const NAMES = {
  lookup: `lookup of a known chain, ${HOPS} hops`,
  slot: `lookup of a slot, ${HOPS} hops`,
  whole: `known chain sent whole, every check, ${HOPS} hops`,
  bySlot: `known chain by slot, every check, ${HOPS} hops`,
} as const;

export async function measureKnown(bench: BenchMesh, report: Report, limits: RoundLimits): Promise<void> {
  const cache = createChainCache();
  const slots = createReceivedSlots(() => bench.mesh.nowS);
  const context = bench.context(HOPS - 1, { cache });
  const findWit = findWitOf(context);
  const known = Array.from({ length: CHAINS }, () => {
    const sent = bench.chain(HOPS);
    const parsed = parseChain(sent);
    const { expS, chainId } = verifyChain(parsed, context);
    const slot = chainId.toString('base64url');
    if (!slots.put(slot, parsed, expS)) throw new Error('a slot was not kept');
    return { sent, parsed, slot };
  });
  const each =
    (one: (chain: (typeof known)[number]) => void) =>
    (times: number): void => {
      for (let i = 0; i < times; i++) one(known[i % CHAINS]!);
    };
  const measured = await runRounds(
    [
      { name: NAMES.lookup, run: each(({ parsed }) => findKnown(parsed.digest, context)) },
      {
        name: NAMES.slot,
        run: each(({ slot, parsed }) => {
          if (slots.get(slot) !== parsed) throw new Error('the slot gave another chain');
        }),
      },
      {
        name: NAMES.whole,
        run: each(({ sent }) => checkReceived(verifyChain(parseChain(sent, findWit), context), HOPS, true)),
      },
      {
        name: NAMES.bySlot,
        run: each(({ slot }) => checkReceived(verifyChain(slots.get(slot)!, context), HOPS, true)),
      },
    ],
    limits,
  );
  for (const name of [NAMES.lookup, NAMES.slot, NAMES.whole]) {
    const value = median(measured.get(name)!.cpuUs);
    report.row({ row: name, metric: 'cpu', value, unit: 'us', peer: null, ratio: null });
  }
  const bySlot = measured.get(NAMES.bySlot)!.cpuUs;
  const ratio = medianRatio(bySlot, measured.get(NAMES.whole)!.cpuUs);
  report.row({ row: NAMES.bySlot, metric: 'cpu', value: median(bySlot), unit: 'us', peer: NAMES.whole, ratio });
  for (const name of [NAMES.lookup, NAMES.slot]) {
    const value = median(measured.get(name)!.cpuUs);
    report.goal({ name: `${name}, us`, goal: `< ${GOAL_US}`, value, met: value < GOAL_US });
  }
}

/** As `verifyChain` finds it: the entry found, for the same authority, and the keys that it verified with still the current ones. */
function findKnown(digest: string, context: VerifyContext): void {
  const found = context.cache!.findChain(context.peer.spiffeId, digest);
  if (found === null || !stillCounts(found, context)) throw new Error('a known chain was not found');
}
