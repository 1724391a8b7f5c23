/** What the record keeps sealed under a subject's key: the format of `identity/at-rest/`, with the record's own code. */
import { BehalfError } from '../../errors/index.ts';
import { unseal as open } from '../../identity/at-rest/index.ts';

export { KEY_BYTES, seal } from '../../identity/at-rest/index.ts';

/**
 * The inverse of `seal` for the same key and place.
 * @throws {BehalfError} `log_inconsistent` if a byte of it, its key or its place has changed
 */
export function unseal(key: Buffer, place: string, sealed: Buffer): Buffer {
  try {
    return open(key, place, sealed);
  } catch (cause) {
    throw new BehalfError('log_inconsistent', { place, why: 'does not open under its key' }, { cause });
  }
}
