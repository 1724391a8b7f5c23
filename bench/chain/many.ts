/**
 * Traffic `many`: each request is another user's, with a root and a chain that nobody has seen, over three hops, 32 requests at
 * once in one process. Nothing can be reused but the WITs. The peer signs and verifies the same objects with `node:crypto`
 * alone: per hop one signature for the link, then the root and every link so far verified.
 */
import { type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type ChainCache,
  createChainCache,
  mintLink,
  mintRoot,
  parseChain,
  type VerifiedChain,
  type VerifiedRoot,
  verifyChain,
  verifyRoot,
} from '../../delegation/index.ts';
import type { Traffic } from '../harness/rounds.ts';
import { verifyBare } from './first-seen.ts';
import { type BareSignature, type BenchMesh, bareSignatures, checkReceived, findWitOf, nameOf } from './hops.ts';

export const MANY_HOPS = 3;
export const AT_ONCE = 32;
/** Chains that the peer goes through; what it verifies is of each turn's own making. */
const SAMPLES = 64;

/** Behalf's own way: what the sidecars of the three hops do with root and links, all checks on, a cache each. */
export function delegated(bench: BenchMesh, name: string): Traffic {
  const { mesh } = bench;
  const caches = Array.from({ length: MANY_HOPS }, () => createChainCache());
  const entry = { ...bench.context(0), me: mesh.workload(nameOf(0)).spiffeId };
  const contexts = caches.map((cache: ChainCache, hop) => bench.context(hop, { cache }));
  const findWits = contexts.map(findWitOf);
  const signers = caches.map((_, hop) => mesh.workload(nameOf(hop)));
  const receivers = caches.map((_, hop) => mesh.workload(nameOf(hop + 1)).spiffeId);
  let roots: readonly string[] = [];

  async function request(place: number): Promise<void> {
    let held: VerifiedRoot | VerifiedChain = verifyRoot(roots[place]!, entry);
    for (let hop = 0; hop < MANY_HOPS; hop++) {
      const order = { parent: held, to: receivers[hop]!, signer: signers[hop]!, nowS: mesh.nowS, jti: randomBytes(12) };
      const sent = mintLink(order);
      await nextTurn();
      const received: VerifiedChain = verifyChain(parseChain(sent, findWits[hop]), contexts[hop]!);
      checkReceived(received, hop + 1, false);
      held = received;
    }
  }
  return {
    name,
    leastTimes: AT_ONCE,
    prepare(times) {
      roots = Array.from({ length: times }, () => mintRoot(mesh.rootClaims(bench.newUser()), mesh.rootKey));
    },
    answer: (times) => allAtOnce(times, request),
  };
}

/** The same signatures without anything around them. */
export function signAndVerify(bench: BenchMesh, name: string): Traffic {
  const samples = Array.from({ length: SAMPLES }, () => bareSignatures(bench, bench.chain(MANY_HOPS), { wits: false }));
  const signers = Array.from({ length: MANY_HOPS }, (_, hop) => ({
    key: bench.mesh.workload(nameOf(hop)).witKey,
    dsaEncoding: 'ieee-p1363' as const,
  }));

  async function request(place: number): Promise<void> {
    const sample = samples[place % SAMPLES]!;
    verifyBare(sample[0]!);
    const made: Buffer[] = [];
    for (let hop = 0; hop < MANY_HOPS; hop++) {
      made.push(signBare(sample[hop + 1]!, signers[hop]!));
      await nextTurn();
      verifyBare(sample[0]!);
      for (const [link, signature] of made.entries()) {
        const { input, key } = sample[link + 1]!;
        if (!verify('sha256', input, key, signature)) throw new Error('a bare link did not verify');
      }
    }
  }
  return { name, leastTimes: AT_ONCE, answer: (times) => allAtOnce(times, request) };
}

function signBare({ input }: BareSignature, key: { readonly key: KeyObject; readonly dsaEncoding: 'ieee-p1363' }) {
  return sign('sha256', input, key);
}

/** Does `times` requests, never more than `AT_ONCE` under way; gives how long each took, in milliseconds. */
export async function allAtOnce(times: number, request: (place: number) => Promise<void>): Promise<readonly number[]> {
  const latencies: number[] = [];
  let next = 0;
  async function oneAfterTheOther(): Promise<void> {
    while (next < times) {
      const place = next;
      next += 1;
      const beganMs = performance.now();
      await request(place);
      latencies.push(performance.now() - beganMs);
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, times) }, oneAfterTheOther));
  if (latencies.length !== times) throw new Error(`${latencies.length} of ${times} requests were done`);
  return latencies;
}
