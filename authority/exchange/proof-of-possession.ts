/**
 * The proof that goes with a bound access token, as the entry sidecar saw it: DPoP (RFC 9449 section 4.3 and 7.1) or a client
 * certificate (RFC 8705 section 3). A token that is bound is never taken without its proof, nor a proof for an unbound one.
 */
import { hash } from 'node:crypto';
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { VerifiedAccessToken } from '../oauth/access-tokens.ts';

/** What came with the token; empty strings where nothing did. */
export interface PresentedProof {
  readonly dpopProof: string;
  readonly dpopMethod: string;
  readonly dpopUri: string;
  readonly clientCertificateS256: string;
}

/** A proof is taken this long before and after its `iat`. */
const PROOF_WINDOW_S = 60;
const MAX_PROOF_BYTES = 4_096;
/** Proofs remembered against replay; at the limit further ones are refused, not forgotten. */
const MAX_REMEMBERED = 100_000;

export interface ProofChecker {
  /** @throws {BehalfError} `entry_proof_invalid`, `overloaded` */
  check(presented: PresentedProof, accessToken: string, token: VerifiedAccessToken): Promise<void>;
}

/** Makes the checker with its memory of proofs. */
export function createProofChecker(clock: Clock): ProofChecker {
  const seen = new Map<string, number>();

  const remember = (thumbprint: string, jti: string): void => {
    const nowS = clock();
    // Insertion order is order of ending, as all live equally long.
    for (const [id, untilS] of seen) {
      if (untilS > nowS) break;
      seen.delete(id);
    }
    const id = `${thumbprint}.${jti}`;
    if (seen.has(id)) throw new BehalfError('entry_proof_invalid', { why: 'proof used before' });
    if (seen.size >= MAX_REMEMBERED) throw new BehalfError('overloaded', { what: 'proofs of possession' });
    seen.set(id, nowS + 2 * PROOF_WINDOW_S);
  };

  return {
    check: async (presented, accessToken, token) => {
      if (token.certificateS256 !== null && token.certificateS256 !== presented.clientCertificateS256) {
        throw new BehalfError('entry_proof_invalid', { why: 'bound to another client certificate' });
      }
      if (token.keyThumbprint === null) {
        if (presented.dpopProof !== '')
          throw new BehalfError('entry_proof_invalid', { why: 'the token is not bound to a key' });
        return;
      }
      const { thumbprint, jti } = await readProof(presented, accessToken, clock());
      if (thumbprint !== token.keyThumbprint)
        throw new BehalfError('entry_proof_invalid', { why: 'bound to another key' });
      remember(thumbprint, jti);
    },
  };
}

async function readProof(
  presented: PresentedProof,
  accessToken: string,
  nowS: number,
): Promise<{ thumbprint: string; jti: string }> {
  const { dpopProof, dpopMethod, dpopUri } = presented;
  if (dpopProof === '') throw new BehalfError('entry_proof_invalid', { why: 'a proof is needed for this token' });
  if (dpopProof.length > MAX_PROOF_BYTES) throw new BehalfError('entry_proof_invalid', { why: 'too long' });
  try {
    const { payload, protectedHeader } = await jwtVerify(dpopProof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256', 'Ed25519', 'EdDSA'],
      requiredClaims: ['jti', 'iat', 'htm', 'htu', 'ath'],
      currentDate: new Date(nowS * 1000),
      clockTolerance: PROOF_WINDOW_S,
    });
    const { iat, jti } = payload;
    if (!(typeof iat === 'number' && Math.abs(nowS - iat) <= PROOF_WINDOW_S)) throw new Error('not recent');
    if (typeof jti !== 'string' || jti === '' || jti.length > 256) throw new Error('no usable jti');
    if (payload['htm'] !== dpopMethod) throw new Error('made for another method');
    if (bareUri(payload['htu']) !== bareUri(dpopUri)) throw new Error('made for another URI');
    if (payload['ath'] !== hash('sha256', accessToken, 'base64url')) throw new Error('made for another access token');
    if (protectedHeader.jwk === undefined) throw new Error('no key');
    return { thumbprint: await calculateJwkThumbprint(protectedHeader.jwk), jti };
  } catch (cause) {
    throw new BehalfError(
      'entry_proof_invalid',
      { why: cause instanceof Error ? cause.message.slice(0, 80) : 'unreadable' },
      { cause },
    );
  }
}

/** RFC 9449 section 4.3 step 9: compared without query and fragment, normalized. */
function bareUri(value: unknown): string {
  const url = new URL(String(value));
  url.search = '';
  url.hash = '';
  return url.href;
}
