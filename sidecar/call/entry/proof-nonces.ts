/**
 * Nonces for DPoP proofs (RFC 9449 section 9): a proof with one of ours was made after we started, for this process, and not
 * ahead. Nothing is stored: a nonce is an HMAC over its time.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { BehalfError } from '../../../errors/index.ts';

/** A nonce is handed out for this long, and taken for as long again. */
const SLOT_S = 60;
const NONCE_BYTES = 16;

export interface ProofNonces {
  /** To hand out now. */
  current(nowS: number): string;
  /** @throws {BehalfError} `entry_nonce_needed` */
  check(nonce: string | null, nowS: number): void;
}

export function createProofNonces(secret: Buffer = randomBytes(32)): ProofNonces {
  const nonceOf = (slot: number): Buffer =>
    createHmac('sha256', secret).update(`behalf-dpop-nonce-v1 ${slot}`).digest().subarray(0, NONCE_BYTES);
  const slotAt = (nowS: number): number => Math.floor(nowS / SLOT_S);
  return {
    current: (nowS) => nonceOf(slotAt(nowS)).toString('base64url'),
    check(nonce, nowS) {
      const shown = Buffer.from(nonce ?? '', 'base64url');
      const slot = slotAt(nowS);
      if (shown.length === NONCE_BYTES && [slot, slot - 1].some((at) => timingSafeEqual(shown, nonceOf(at)))) return;
      throw new BehalfError('entry_nonce_needed', {
        why: nonce === null ? 'without a nonce' : 'an old or unknown nonce',
      });
    },
  };
}
