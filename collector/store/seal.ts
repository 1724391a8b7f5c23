/** Sealing under a subject's key: AES-256-GCM, 12 random bytes of nonce, bound to its place by additional data. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';

export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

/** Nonce, ciphertext, tag. */
export function seal(key: Buffer, place: string, plain: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(place));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * The inverse of `seal` for the same key and place.
 * @throws {BehalfError} `log_inconsistent` if a byte of it, its key or its place has changed
 */
export function unseal(key: Buffer, place: string, sealed: Buffer): Buffer {
  try {
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new BehalfError('log_inconsistent', { place, why: 'does not open under its key' }, { cause });
  }
}
