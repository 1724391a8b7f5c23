/** Names of a chain made of its bytes: the 16-byte id of slots and of the record, and the key of the cache. */
import { hash } from 'node:crypto';

export const CHAIN_ID_BYTES = 16;
const SLOT_LABEL = 'behalf-slot-v1\0';
const CACHE_LABEL = 'behalf-chain-cache-v1\0';

/**
 * SHA-256 over `behalf-slot-v1`, 0x00 and the three header values as sent, each after its u32be length (WIRE.md section 2).
 * Its first 16 bytes name the chain.
 */
export function chainDigest(txnToken: string, delegationChain: string, delegationCredentials: string): Buffer {
  return hash('sha256', lengthPrefixed(SLOT_LABEL, [txnToken, delegationChain, delegationCredentials]), 'buffer');
}

/** Key of the chain's outcome of steps 5 and 6: its digest and all else that those steps compare with. */
export function chainCacheKey(digest: Buffer, issuer: string, audience: string, trustDomain: string): string {
  return hash(
    'sha256',
    lengthPrefixed(CACHE_LABEL, [digest.toString('base64url'), issuer, audience, trustDomain]),
    'base64url',
  );
}

/** Each value as UTF-8 after its length in bytes; header values are ASCII. */
function lengthPrefixed(label: string, values: readonly string[]): Buffer {
  let size = label.length;
  for (const value of values) size += 4 + Buffer.byteLength(value);
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.write(label, 0);
  for (const value of values) {
    const written = bytes.write(value, at + 4);
    bytes.writeUInt32BE(written, at);
    at += 4 + written;
  }
  return bytes;
}
