/**
 * The mesh and the chains that all rows of `bench:chain` work on: real keys, WITs, roots and links of the tests' small mesh.
 * Verifiers get public keys, imported beforehand, as a sidecar has them from its bundle.
 */
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import {
  type FindParsedWit,
  type OutgoingChain,
  parseChain,
  type VerifiedChain,
  type VerifyContext,
} from '../../delegation/index.ts';
import { createTestMesh, type TestMesh } from '../../delegation/test-mesh.ts';
import { verifyEs256 } from '../../identity/jws.ts';

/** Who hands on to whom; a chain of n hops has the first n + 1 of them. */
const SERVICES = [
  'storefront',
  'orders',
  'payments',
  'ledger',
  'inventory',
  'shipping',
  'mail',
  'archive',
  'audit',
] as const;

export interface BenchMesh {
  readonly mesh: TestMesh;
  readonly rootKey: KeyObject;
  readonly witKey: KeyObject;
  /** The public half of the key with which hop n (from 0) is signed. */
  linkKey(hop: number): KeyObject;
  /** What the receiver of hop n (from 0) brings along, apart from a cache. */
  context(hop: number, more?: Partial<VerifyContext>): VerifyContext;
  /** Claims of a root that nobody has seen: another user, transaction, consent and grant each time. */
  newUser(): Parameters<TestMesh['root']>[0];
  /** A chain over that many hops, for a new user. */
  chain(hops: number): OutgoingChain;
}

export function createBenchMesh(): BenchMesh {
  const mesh = createTestMesh();
  const rootKey = createPublicKey(mesh.rootKey.key);
  const witKey = createPublicKey(mesh.witKey.key);
  const linkKeys = SERVICES.map((name) => createPublicKey(mesh.workload(name).witKey));
  const context: BenchMesh['context'] = (hop, more = {}) =>
    mesh.context(nameOf(hop + 1), nameOf(hop), {
      rootKey: (kid) => (kid === mesh.rootKey.kid ? rootKey : null),
      witKey: (kid) => (kid === mesh.witKey.kid ? witKey : null),
      ...more,
    });
  const newUser: BenchMesh['newUser'] = () => ({
    sub: `u:${id()}`,
    txn: id(),
    tctx: { client_id: 'shop-web', consent: { id: id(), version: 1 }, grant: id(), purpose: 'order groceries' },
  });
  return {
    mesh,
    rootKey,
    witKey,
    linkKey: (hop) => linkKeys[hop]!,
    context,
    newUser,
    chain(hops) {
      let chain = mesh.link(mesh.root(newUser()), nameOf(1), { jti: randomBytes(12) });
      for (let hop = 1; hop < hops; hop++) {
        chain = mesh.link(mesh.receive(chain), nameOf(hop + 1), { jti: randomBytes(12) });
      }
      return chain;
    },
  };
}

export function nameOf(place: number): string {
  return SERVICES[place]!;
}

/** The WITs that a receiver knows of its peer, as a sidecar hands them to the parser. */
export function findWitOf({ cache, peer }: VerifyContext): FindParsedWit | null {
  return cache === undefined ? null : (compact) => cache.findWit(peer.spiffeId, compact)?.wit ?? null;
}

/** As names of rows have it. */
export function hopsText(hops: number): string {
  return hops === 1 ? '1 hop' : `${hops} hops`;
}

/** One signature to verify, ready for `crypto.verify`. */
export interface BareSignature {
  readonly input: Buffer;
  readonly signature: Buffer;
  readonly key: { readonly key: KeyObject; readonly dsaEncoding: 'ieee-p1363' };
}

/** The signatures of a chain: the root's and each link's, and with `wits` each WIT's. Each is checked here once. */
export function bareSignatures(
  { rootKey, witKey, linkKey }: BenchMesh,
  chain: OutgoingChain,
  { wits }: { readonly wits: boolean },
): readonly BareSignature[] {
  const { root, hops } = parseChain(chain);
  const all = [bare(root, rootKey)];
  for (const [hop, { link, wit }] of hops.entries()) {
    if (wits) all.push(bare(wit, witKey));
    all.push(bare(link, linkKey(hop)));
  }
  return all;
}

function bare(object: { signingInput: string; signature: Buffer }, key: KeyObject): BareSignature {
  if (!verifyEs256(object.signingInput, object.signature, key)) throw new Error('a signature of the input is bad');
  return {
    input: Buffer.from(object.signingInput, 'ascii'),
    signature: object.signature,
    key: { key, dsaEncoding: 'ieee-p1363' },
  };
}

/** Throws unless this is what the receiver of the last of these hops has to have in hand. */
export function checkReceived(chain: VerifiedChain, hops: number, fromCache: boolean): void {
  if (chain.depth !== hops || chain.scope.length !== 3 || chain.fromCache !== fromCache) {
    throw new Error(`not the chain that was to be verified: depth ${chain.depth}, cached ${chain.fromCache}`);
  }
}

function id(): string {
  return randomBytes(16).toString('base64url');
}
