/**
 * Verifying a chain that the receiver sees for the first time, from the header values to the delegation in hand, against
 * `crypto.verify` of the very signatures that it needs, on the same bytes with keys already imported. Twice: with every WIT new
 * too, as after a start, and with the WITs known, as in a mesh that runs, since a WIT lives an hour and comes with each chain.
 */
import { verify } from 'node:crypto';
import { createChainCache, parseChain, verifyChain } from '../../delegation/index.ts';
import { atMost, type Report } from '../harness/report.ts';
import { median, medianRatio, type RoundLimits, runRounds, type Work } from '../harness/rounds.ts';
import { type BareSignature, type BenchMesh, bareSignatures, checkReceived, findWitOf, hopsText } from './hops.ts';

const HOPS = [1, 3, 6] as const;
/** More chains than the cache keeps, each presented in its turn: none is ever known when it comes again. */
const CHAINS = 96;
const CACHED_CHAINS = 32;
const GOAL = 1.3;

export async function measureFirstSeen(bench: BenchMesh, report: Report, limits: RoundLimits): Promise<void> {
  const cases = HOPS.flatMap((hops) => [
    { hops, wits: true, ...namesOf(hops, true) },
    { hops, wits: false, ...namesOf(hops, false) },
  ]);
  const measured = await runRounds(
    cases.flatMap(({ hops, wits, name, peer }) => {
      const chains = Array.from({ length: CHAINS }, () => bench.chain(hops));
      const cache = wits ? null : createChainCache({ maxEntries: CACHED_CHAINS, maxPerPeer: CACHED_CHAINS });
      const context = bench.context(hops - 1, cache === null ? {} : { cache });
      const findWit = findWitOf(context);
      const verifyFirst = (place: number): void => {
        checkReceived(verifyChain(parseChain(chains[place]!, findWit), context), hops, false);
      };
      return [inTurn(name, verifyFirst), inTurn(peer, bareVerifier(bench, chains, wits))];
    }),
    limits,
  );
  for (const { hops, wits, name, peer } of cases) {
    const own = measured.get(name)!.cpuUs;
    const bare = measured.get(peer)!.cpuUs;
    const ratio = medianRatio(own, bare);
    report.row({ row: peer, metric: 'cpu', value: median(bare), unit: 'us', peer: null, ratio: null });
    report.row({ row: name, metric: 'cpu', value: median(own), unit: 'us', peer, ratio });
    report.goal(atMost(`first seen over bare signatures, ${hopsText(hops)}, ${witsText(wits)}`, ratio, GOAL));
  }
}

function bareVerifier(
  bench: BenchMesh,
  chains: readonly ReturnType<BenchMesh['chain']>[],
  wits: boolean,
): (place: number) => void {
  const signatures = chains.map((chain) => bareSignatures(bench, chain, { wits }));
  return (place) => {
    for (const signature of signatures[place]!) verifyBare(signature);
  };
}

/** Throws unless the signature verifies. */
export function verifyBare({ input, signature, key }: BareSignature): void {
  if (!verify('sha256', input, key, signature)) throw new Error('a bare signature did not verify');
}

/** Does one chain after the other, over and over. */
function inTurn(name: string, one: (place: number) => void): Work {
  let place = 0;
  return {
    name,
    run(times) {
      for (let i = 0; i < times; i++) {
        one(place);
        place = (place + 1) % CHAINS;
      }
    },
    leastTimes: CHAINS / 4,
  };
}

function namesOf(hops: number, wits: boolean): { readonly name: string; readonly peer: string } {
  return {
    name: `first seen, ${hopsText(hops)}, ${witsText(wits)}`,
    peer: `bare crypto.verify of ${wits ? 1 + 2 * hops : 1 + hops} signatures, ${hopsText(hops)}`,
  };
}

function witsText(wits: boolean): string {
  return wits ? 'WITs new' : 'WITs known';
}
