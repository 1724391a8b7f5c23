/**
 * The lower of the two forms that every ECDSA signature has: (r, s) and (r, n - s) both verify. Of a certificate only one may
 * count, or a revoked one would come back under another hash, made by anyone, without any key.
 */

/** n / 2 of P-256 (SEC 2 section 2.4.2), rounded down. */
const HALF_ORDER = Buffer.from('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8', 'hex');
const SCALAR_BYTES = 32;
const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** Whether an ECDSA P-256 signature in DER (RFC 3279 section 2.2.3) has s <= n/2. False for bytes that are none. */
export function hasLowS(signature: Buffer): boolean {
  if (signature[0] !== SEQUENCE || signature[1] !== signature.length - 2 || signature[2] !== INTEGER) return false;
  const at = 4 + (signature[3] ?? 0);
  if (signature[at] !== INTEGER || signature[at + 1] !== signature.length - at - 2) return false;
  const s = signature.subarray(at + 2);
  // A positive integer whose first bit is set has a zero byte in front: then it is above n/2 or has 32 bytes and more.
  if (s.length === 0 || s.length > SCALAR_BYTES) return false;
  return Buffer.concat([Buffer.alloc(SCALAR_BYTES - s.length), s]).compare(HALF_ORDER) <= 0;
}
