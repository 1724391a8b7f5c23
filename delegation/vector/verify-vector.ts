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
import { type ChainVector, parseVector, type VectorKey } from './vector.ts';

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
  readonly asExpected: boolean;
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
  for (const seen of vector.seen_hops) window.take(peer.spiffeId, seen, vector.at);
  window.take(peer.spiffeId, hop, vector.at);
  return chain;
}

/** Step 2. @throws {BehalfError} `peer_unauthenticated` */
function peerOf({ peer, peer_certificate: certificateS256 }: ChainVector): ChainPeer {
  if (peer === null || certificateS256 === null) throw new BehalfError('peer_unauthenticated', {});
  return { spiffeId: operatorId(peer, 'peer'), certificateS256 };
}

function contextOf(vector: ChainVector): ContextWithoutPeer {
  const rootKeys = keysOf(vector.authority_jwks.keys, null);
  const witKeys = keysOf(vector.bundle.keys, 'wit-svid');
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
    set.add(revocation, Number.POSITIVE_INFINITY, 'authority');
    set.add(revocation, Number.POSITIVE_INFINITY, 'ca');
  }
  return set;
}

function onceStoreOf({ seen_jti, at }: ChainVector, { spiffeId: peer }: ChainPeer): OnceStore {
  const store = createOnceStore({ startedAtS: Number.NEGATIVE_INFINITY });
  for (const jti of seen_jti) store.take({ peer, jti, iat: at, exp: at + MAX_LINK_LIFE_S }, at);
  return store;
}

function keysOf(jwks: readonly VectorKey[], use: string | null): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  for (const jwk of jwks) {
    if (typeof jwk.kid !== 'string' || (use !== null && jwk.use !== use)) continue;
    keys.set(jwk.kid, publicKey(jwk));
  }
  return keys;
}

function publicKey(jwk: VectorKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new BehalfError('request_malformed', { member: 'keys', why: 'a JWK that is no public key' }, { cause });
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
  const asExpected = expect.ok && expect.sub === sub && expect.scope === left && expect.depth === depth;
  return { name, ok: true, code: null, sub, scope: left, depth, asExpected };
}

function refused({ name, expect }: ChainVector, code: ErrorCode): VectorResult {
  return { name, ok: false, code, sub: null, scope: null, depth: null, asExpected: !expect.ok && expect.code === code };
}
