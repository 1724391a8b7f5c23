/** Judgements about who takes part in a call, apart from the delegation: ourselves and the TLS peer. */
import type { RootContext, SignerFacts } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { CERTIFICATE_BACKDATE_S } from '../../identity/clock.ts';
import type { IssuedIdentity } from '../../identity/own/own-identity.ts';
import type { CallEnvironment } from './environment.ts';
import type { PeerFacts } from './seam.ts';

/**
 * A sidecar whose own identity was revoked refuses all calls (WIRE section 3, on revocations).
 * @throws {BehalfError} `delegation_revoked`
 */
export function checkOwnStanding(env: CallEnvironment): void {
  const { identity, state } = env;
  if (state.revocations.isEmpty) return;
  const hit = state.revocations.hit({ root: null, signers: [ownSigner(identity.current())] });
  if (hit !== null)
    throw new BehalfError('delegation_revoked', { kind: hit.kind, why: 'this sidecar’s own identity was revoked' });
}

/** Ourselves as revocations know us. */
export function ownSigner({ spiffeId, notBeforeS, certificateS256, witJti, witKid }: IssuedIdentity): SignerFacts {
  return {
    iat: notBeforeS + CERTIFICATE_BACKDATE_S,
    workload: spiffeId,
    certificate: certificateS256,
    jti: witJti,
    kid: witKid,
  };
}

/**
 * Step 2 of WIRE section 3. The path was judged when the connection began; here, that it has not ended or been revoked since.
 * @throws {BehalfError} `peer_untrusted`, `peer_revoked`
 */
export function checkPeerStanding({ state, nowS }: CallEnvironment, peer: PeerFacts): void {
  if (!(nowS() < peer.notAfterS)) {
    throw new BehalfError('peer_untrusted', { rule: 'expired', serial: peer.serialHex, notAfter: peer.notAfterS });
  }
  if (state.revocations.isEmpty) return;
  const hit = state.revocations.hit({ root: null, signers: [signerOf(peer)] });
  if (hit !== null) throw new BehalfError('peer_revoked', { kind: hit.kind, serial: peer.serialHex });
}

/** A TLS peer as revocations know it. */
export function signerOf({ spiffeId, certificateS256, issuedS }: PeerFacts): SignerFacts {
  return { iat: issuedS, workload: spiffeId, certificate: certificateS256, jti: null, kid: null };
}

/** Whose keys are trusted now, for roots and chains. */
export function rootContext(env: CallEnvironment): RootContext {
  const bundle = env.identity.bundle();
  return {
    me: env.me,
    nowS: env.nowS(),
    clock: env.clock,
    trustDomain: env.identity.trustDomain,
    issuer: bundle.issuer,
    audience: `spiffe://${env.identity.trustDomain}/behalf/delegation`,
    rootKey: (kid) => bundle.rootKeys.get(kid) ?? null,
    revoked: (facts) => env.state.revocations.hit(facts),
    fresh: () => checkFresh(env),
  };
}

/**
 * Live state of both sources is young enough for a delegated call.
 * @throws {BehalfError} `revocation_stale`
 */
export function checkFresh({ state }: CallEnvironment): void {
  const nowMs = performance.now();
  state.checkFresh(nowMs, 'authority');
  state.checkFresh(nowMs, 'ca');
}
