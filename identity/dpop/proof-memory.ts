/**
 * Which proofs were seen (RFC 9449 section 11.1). Holds only what was shown with a token that its issuer took, so that strangers
 * fill nothing. INVARIANT: nothing is forgotten while its proof could still be taken; where there is no room, it is refused.
 */
import { hash } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { PROOF_WINDOW_S, type VerifiedProof } from './proof.ts';

/** Proofs remembered in all, and of one key, so that one client cannot take all the room. */
const MAX_PROOFS = 131_072;
const MAX_PROOFS_OF_A_KEY = 16_384;

export interface ProofMemory {
  /**
   * Takes a proof, once.
   * @throws {BehalfError} `entry_proof_invalid` where it was taken before, `overloaded` where there is no room
   */
  take(proof: VerifiedProof, nowS: number): void;
}

export interface ProofMemoryOptions {
  /** When this memory began: what was seen before is not known, so that proofs made before are refused. */
  readonly sinceS: number;
  readonly maxProofs?: number;
  readonly maxOfAKey?: number;
}

/** Makes an empty memory. */
export function createProofMemory({
  sinceS,
  maxProofs = MAX_PROOFS,
  maxOfAKey = MAX_PROOFS_OF_A_KEY,
}: ProofMemoryOptions): ProofMemory {
  const seen = new Map<string, { readonly untilS: number; readonly thumbprint: string }>();
  const ofKey = new Map<string, number>();

  function forgetEnded(nowS: number): void {
    // In order of coming, and all live equally long from then.
    for (const [id, { untilS, thumbprint }] of seen) {
      if (untilS > nowS) return;
      seen.delete(id);
      const left = (ofKey.get(thumbprint) ?? 1) - 1;
      if (left === 0) ofKey.delete(thumbprint);
      else ofKey.set(thumbprint, left);
    }
  }

  return {
    take({ thumbprint, jti, iatS }, nowS) {
      if (!(iatS >= Math.floor(sinceS)))
        throw new BehalfError('entry_proof_invalid', { why: 'made before its reader started' });
      forgetEnded(nowS);
      // A hash, so that an entry costs the same whatever the client writes.
      const id = hash('sha256', `${thumbprint}.${jti}`, 'base64url');
      if (seen.has(id)) throw new BehalfError('entry_proof_invalid', { why: 'proof used before' });
      const held = ofKey.get(thumbprint) ?? 0;
      if (seen.size >= maxProofs || held >= maxOfAKey)
        throw new BehalfError('overloaded', { what: 'proofs of possession' });
      // From its coming: one made ahead of our clock is taken until twice the window has passed.
      seen.set(id, { untilS: nowS + 2 * PROOF_WINDOW_S + 1, thumbprint });
      ofKey.set(thumbprint, held + 1);
    },
  };
}
