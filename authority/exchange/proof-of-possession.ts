/**
 * The proof that goes with a bound access token, as the entry sidecar saw it: DPoP (RFC 9449 section 4.3 and 7.1) or a client
 * certificate (RFC 8705 section 3). A token that is bound is never taken without its proof, nor a proof for an unbound one.
 */
import { BehalfError } from '../../errors/index.ts';
import { createProofMemory, verifyProof } from '../../identity/dpop/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { VerifiedAccessToken } from '../oauth/access-tokens.ts';

/** What a token is bound to. */
export type BoundToken = Pick<VerifiedAccessToken, 'keyThumbprint' | 'certificateS256'>;

/** What came with the token; empty strings where nothing did. */
export interface PresentedProof {
  readonly dpopProof: string;
  readonly dpopMethod: string;
  readonly dpopUri: string;
  readonly clientCertificateS256: string;
}

export interface ProofChecker {
  /** @throws {BehalfError} `entry_proof_invalid`, `overloaded` */
  check(presented: PresentedProof, accessToken: string, token: BoundToken): Promise<void>;
}

/** Makes the checker with its memory of proofs. */
export function createProofChecker(clock: Clock): ProofChecker {
  const memory = createProofMemory({ sinceS: clock() });
  return {
    check: async (presented, accessToken, token) => {
      if (token.certificateS256 !== null && token.certificateS256 !== presented.clientCertificateS256) {
        throw new BehalfError('entry_proof_invalid', { why: 'bound to another client certificate' });
      }
      const { dpopProof, dpopMethod: method, dpopUri: uri } = presented;
      if (token.keyThumbprint === null) {
        if (dpopProof !== '') throw new BehalfError('entry_proof_invalid', { why: 'the token is not bound to a key' });
        return;
      }
      if (dpopProof === '') throw new BehalfError('entry_proof_invalid', { why: 'a proof is needed for this token' });
      const nowS = clock();
      const proof = verifyProof(dpopProof, { method, uri, accessToken, nowS });
      if (proof.thumbprint !== token.keyThumbprint)
        throw new BehalfError('entry_proof_invalid', { why: 'bound to another key' });
      memory.take(proof, nowS);
    },
  };
}
