/**
 * Which peers the collector itself lets in no more: what the CA's live state says, read from the entries that it relays. A relay
 * is trusted with nothing, but it need not serve who was revoked either.
 */
import { createRevocationSet } from '../../delegation/revocation/index.ts';
import type { ProvenPeer } from '../../identity/mtls/index.ts';
import type { LiveStateEntry } from '../../state/index.ts';

export interface RevokedPeers {
  /** Takes an entry of any source; those of the CA alone say something of peers. True where it does. */
  take(entry: LiveStateEntry): boolean;
  isRevoked(peer: ProvenPeer): boolean;
}

export function createRevokedPeers(): RevokedPeers {
  const revocations = createRevocationSet();
  return {
    take: ({ source, at, revocation, forget_at }) => {
      if (source !== 'ca') return false;
      revocations.forget(at);
      return revocations.add(revocation, forget_at, source);
    },
    isRevoked: ({ spiffeId, certificateS256, issuedS }) =>
      revocations.hit({
        root: null,
        signers: [{ iat: issuedS, workload: spiffeId, certificate: certificateS256, jti: null, kid: null }],
      }) !== null,
  };
}
