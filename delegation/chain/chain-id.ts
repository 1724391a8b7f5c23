/** The name of a chain, made of its bytes: the 16-byte id of slots and of the record begins it, the cache has all of it as its key. */
import { hash } from 'node:crypto';

export const CHAIN_ID_BYTES = 16;
const SLOT_LABEL = 'behalf-slot-v1\0';

/**
 * SHA-256 over `behalf-slot-v1`, 0x00 and the three header values as sent, each after its u32be length (WIRE.md section 2).
 * Its first 16 bytes name the chain.
 */
export function chainDigest(txnToken: string, delegationChain: string, delegationCredentials: string): Buffer {
  return hash('sha256', lengthPrefixed(SLOT_LABEL, [txnToken, delegationChain, delegationCredentials]), 'buffer');
}

/** Each value after its length in bytes. INVARIANT: values are ASCII, since objects of another form were refused before. */
function lengthPrefixed(label: string, values: readonly string[]): Buffer {
  let size = label.length;
  for (const value of values) size += 4 + value.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.write(label, 0, 'latin1');
  for (const value of values) {
    bytes.writeUInt32BE(value.length, at);
    at += 4 + bytes.write(value, at + 4, 'latin1');
  }
  return bytes;
}
