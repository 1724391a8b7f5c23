/**
 * The format of one segment of the spool: a header, then records, each with its length and CRC-32. Written only at its end, so
 * that after a crash everything up to the first record that does not check is whole.
 *
 *     header   "BHLFSPL1", 16 bytes epoch, u64be number of the first event
 *     record   u32be payload length, u32be CRC-32 over type and payload, u8 type, payload
 *     type     1 an encoded `Event`; 2 an encoded chain body; 3 hops that were open when the segment began (always the first)
 */
import { crc32 } from 'node:zlib';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';

export const RECORD_EVENT = 1;
export const RECORD_CHAIN = 2;
export const RECORD_OPEN_HOPS = 3;

export const HEADER_BYTES = 32;
export const RECORD_HEAD_BYTES = 9;
export const EPOCH_BYTES = 16;
const CHAIN_ID_BYTES = 16;
/** Longest payload of an event or chain; a length beyond it is not one of ours. */
export const MAX_RECORD_BYTES = 65_536;
/** Open hops stand in one record: so many streams at 30 bytes each. */
const MAX_OPEN_RECORD_BYTES = 16 * 1024 * 1024;
const MAGIC = Buffer.from('BHLFSPL1', 'ascii');

export interface SegmentHeader {
  readonly epoch: Buffer;
  readonly firstSeq: number;
}

export interface SpoolRecord {
  readonly type: number;
  readonly payload: Buffer;
  /** Where the next record begins. */
  readonly end: number;
}

/** The first bytes of a segment. */
export function encodeHeader({ epoch, firstSeq }: SegmentHeader): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  epoch.copy(header, 8);
  header.writeBigUInt64BE(BigInt(firstSeq), 24);
  return header;
}

/** Reads a segment's header; null where it is cut short or not one. */
export function readHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return null;
  return { epoch: Buffer.from(bytes.subarray(8, 24)), firstSeq: Number(bytes.readBigUInt64BE(24)) };
}

/** Writes a record at `at`, where there must be room; gives the place after it. */
export function writeRecord(target: Buffer, at: number, type: number, payload: Buffer): number {
  const end = at + RECORD_HEAD_BYTES + payload.length;
  target.writeUInt32BE(payload.length, at);
  target[at + 8] = type;
  payload.copy(target, at + RECORD_HEAD_BYTES);
  target.writeUInt32BE(crc32(target.subarray(at + 8, end)), at + 4);
  return end;
}

/** Reads the record at `at`; null where it is cut short or does not check. The payload is a view. */
export function readRecord(bytes: Buffer, at: number): SpoolRecord | null {
  if (at + RECORD_HEAD_BYTES > bytes.length) return null;
  const length = bytes.readUInt32BE(at);
  const type = bytes[at + 8];
  const end = at + RECORD_HEAD_BYTES + length;
  const most = type === RECORD_OPEN_HOPS ? MAX_OPEN_RECORD_BYTES : MAX_RECORD_BYTES;
  if (type === undefined || length > most || end > bytes.length) return null;
  if (crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32BE(at + 4)) return null;
  return { type, payload: bytes.subarray(at + RECORD_HEAD_BYTES, end), end };
}

/** A chain body as a record's payload: its id, then three texts, each after its u16be length. */
export function encodeChain(chain: ChainBody): Buffer {
  const parts: Buffer[] = [chain.chainId];
  for (const text of [chain.txnToken, chain.delegationChain, chain.delegationCredentials]) {
    const bytes = Buffer.from(text, 'latin1');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

/** Reads what `encodeChain` wrote. */
export function decodeChain(payload: Buffer): ChainBody {
  const texts: string[] = [];
  for (let at = CHAIN_ID_BYTES; at < payload.length; ) {
    const end = at + 2 + payload.readUInt16BE(at);
    texts.push(payload.toString('latin1', at + 2, end));
    at = end;
  }
  const [txnToken = '', delegationChain = '', delegationCredentials = ''] = texts;
  return {
    chainId: Buffer.from(payload.subarray(0, CHAIN_ID_BYTES)),
    txnToken,
    delegationChain,
    delegationCredentials,
  };
}
