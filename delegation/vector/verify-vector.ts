/** Runs one vector through the library as a sidecar would run a call, steps 1 to 8, and says what came out. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { BehalfError, codeOf, type ErrorCode } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE } from '../../identity/clock.ts';
import { parseSpiffeId, parseTrustDomain } from '../../identity/spiffe-id.ts';
import { parseChain, verifyChain } from '../chain/index.ts';
import type { ChainPeer, VerifyContext } from '../context.ts';
import { createHopWindow, parseHop } from '../hop-id/index.ts';
import { MAX_LINK_LIFE_S } from '../limits.ts';
import { formatScope } from '../narrowing/scope.ts';
import { createOnceStore, type OnceStore } from '../once/once-store.ts';
import { createRevocationSet, type RevocationSet } from '../revocation/index.ts';
import type { VerifiedChain } from '../verified.ts';
import { type ChainVector, hopIdOfSeen, parseVector, type VectorKey } from './vector.ts';

/** Oldest live state that counts, in seconds: the authority's default (DESIGN section 6). */
const MAX_STALENESS_S = 30;

/** What verifying the vector gave, and whether that is what it expects. */
export interface VectorResult {
  readonly name: string;
  /** Whether the chain was accepted. */
  readonly ok: boolean;
  /** The refusal, or null. */
  readonly code: ErrorCode | null;
  readonly sub: string | null;
  readonly scope: string | null;
  readonly depth: number | null;
  /** Null where the vector expects nothing. */
  readonly asExpected: boolean | null;
}

/**
 * Verifies a vector: the parsed JSON of its file.
 * @throws {BehalfError} `request_malformed` where it is no vector; never for what it carries
 */
export function verifyVector(value: unknown): VectorResult {
  const vector = parseVector(value);
  const context = contextOf(vector);
  try {
    return accepted(vector, verifyCall(vector, context));
  } catch (error) {
    // Not a refusal of ours: a defect, which must not look like a refused chain.
    if (!(error instanceof BehalfError) || error.code === 'request_malformed') throw error;
    return refused(vector, codeOf(error));
  }
}

type ContextWithoutPeer = Omit<VerifyContext, 'peer'>;

function verifyCall(vector: ChainVector, context: ContextWithoutPeer): VerifiedChain {
  const {
    txn_token: txnToken,
    delegation_chain: delegationChain,
    delegation_credentials: delegationCredentials,
  } = vector;
  const parsed = parseChain({ txnToken, delegationChain, delegationCredentials });
  const { hop } = parseHop(vector.delegation_hop);
  const peer = peerOf(vector);
  const chain = verifyChain(parsed, { ...context, peer, onceStore: onceStoreOf(vector, peer) });
  const window = createHopWindow();
  for (const seen of vector.seen_hops) remember(() => window.take(peer.spiffeId, hopIdOfSeen(seen), vector.at));
  window.take(peer.spiffeId, hop, vector.at);
  return chain;
}

/** Step 2. @throws {BehalfError} `peer_unauthenticated` */
function peerOf({ peer, peer_certificate: certificateS256 }: ChainVector): ChainPeer {
  if (peer === null || certificateS256 === null) throw new BehalfError('peer_unauthenticated', {});
  return { spiffeId: operatorId(peer, 'peer'), certificateS256 };
}

function contextOf(vector: ChainVector): ContextWithoutPeer {
  const rootKeys = keysOf(vector.authority_jwks.keys, (use) => use === undefined || use === 'sig');
  const witKeys = keysOf(vector.bundle.keys, (use) => use === 'wit-svid');
  const revocations = revocationsOf(vector);
  return {
    me: operatorId(vector.me, 'me'),
    nowS: vector.at,
    clock: DEFAULT_CLOCK_RULE,
    trustDomain: trustDomainOf(vector),
    issuer: vector.issuer,
    audience: vector.audience,
    rootKey: (kid) => rootKeys.get(kid) ?? null,
    witKey: (kid) => witKeys.get(kid) ?? null,
    revoked: (facts) => revocations.hit(facts),
    fresh: () => checkFresh(vector),
    route: vector.route,
    myCertificateS256: vector.my_certificate,
    onceStore: null,
  };
}

function checkFresh({ at, revocations_at: asOf }: ChainVector): void {
  if (asOf === null || !(at - asOf <= MAX_STALENESS_S)) throw new BehalfError('revocation_stale', { asOf, at });
}

/** A vector does not name sources: a `kid` counts for both kinds of key. */
function revocationsOf({ revocations }: ChainVector): RevocationSet {
  const set = createRevocationSet();
  for (const revocation of revocations) {
    const { before = Number.NEGATIVE_INFINITY } = revocation;
    set.add({ ...revocation, before }, Number.POSITIVE_INFINITY, 'authority');
    set.add({ ...revocation, before }, Number.POSITIVE_INFINITY, 'ca');
  }
  return set;
}

function onceStoreOf({ seen_jti, at }: ChainVector, { spiffeId: peer }: ChainPeer): OnceStore {
  const store = createOnceStore({ startedAtS: Number.NEGATIVE_INFINITY });
  for (const jti of seen_jti) remember(() => store.take({ peer, jti, iat: at, exp: at + MAX_LINK_LIFE_S }, at));
  return store;
}

/** What a vector says was seen comes in any order, perhaps twice: what a window would refuse then is seen all the same. */
function remember(take: () => void): void {
  try {
    take();
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
  }
}

/** The P-256 keys of a set by their `kid`; a key of another kind, use or algorithm is not one (RFC 7517 section 5). */
function keysOf(jwks: readonly VectorKey[], isUse: (use: unknown) => boolean): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  for (const jwk of jwks) {
    if (typeof jwk.kid !== 'string' || !isUse(jwk.use) || (jwk.alg !== undefined && jwk.alg !== 'ES256')) continue;
    const key = publicKey(jwk);
    if (key !== null) keys.set(jwk.kid, key);
  }
  return keys;
}

function publicKey({ kty, crv, x, y }: VectorKey): KeyObject | null {
  if (kty !== 'EC' || crv !== 'P-256' || typeof x !== 'string' || typeof y !== 'string') return null;
  try {
    return createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
  } catch {
    return null;
  }
}

function operatorId(value: string, member: string): ReturnType<typeof parseSpiffeId> {
  try {
    return parseSpiffeId(value);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member, why: 'not a SPIFFE ID' }, { cause });
  }
}

function trustDomainOf({ trust_domain }: ChainVector): ReturnType<typeof parseTrustDomain> {
  try {
    return parseTrustDomain(trust_domain);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member: 'trust_domain', why: 'not a trust domain' }, { cause });
  }
}

function accepted({ name, expect }: ChainVector, { sub, scope, depth }: VerifiedChain): VectorResult {
  const left = formatScope(scope);
  const found = { name, ok: true, code: null, sub, scope: left, depth };
  if (expect === undefined) return { ...found, asExpected: null };
  return { ...found, asExpected: expect.ok && expect.sub === sub && expect.scope === left && expect.depth === depth };
}

function refused({ name, expect }: ChainVector, code: ErrorCode): VectorResult {
  const asExpected = expect === undefined ? null : !expect.ok && expect.code === code;
  return { name, ok: false, code, sub: null, scope: null, depth: null, asExpected };
}
