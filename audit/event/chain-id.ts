/** The id of a chain body: as the slot's name in WIRE.md section 2, so that a slot, an event and a stored body name the same bytes. */
import { hash } from 'node:crypto';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';

/** First 16 bytes of SHA-256 over `behalf-slot-v1`, 0x00 and the three header values, each after its u32be length. */
export function chainIdOf(body: Omit<ChainBody, 'chainId'>): Buffer {
  const parts: Buffer[] = [Buffer.from('behalf-slot-v1\0', 'ascii')];
  for (const value of [body.txnToken, body.delegationChain, body.delegationCredentials]) {
    const bytes = Buffer.from(value, 'latin1');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return hash('sha256', Buffer.concat(parts), 'buffer').subarray(0, 16);
}

/** Longest chain body: what fits into a spool's record. WIRE.md allows a quarter of it. */
const MAX_CHAIN_BYTES = 65_536;

/**
 * What is wrong with a chain body, or null. The id is a hash over bytes: of other characters than ASCII it sees a part only, so
 * that another body could take the place of the true one, which then is never stored.
 */
export function defectOfChain(chain: ChainBody): 'too large' | 'not ASCII' | 'another id' | null {
  const texts = [chain.txnToken, chain.delegationChain, chain.delegationCredentials];
  if (texts.reduce((length, text) => length + text.length, 0) > MAX_CHAIN_BYTES) return 'too large';
  if (texts.some((text) => Buffer.byteLength(text, 'utf8') !== text.length)) return 'not ASCII';
  return chainIdOf(chain).equals(chain.chainId) ? null : 'another id';
}
