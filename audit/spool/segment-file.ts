/** The files of the spool: beginning a segment, writing at a place, reading whole records back. */
import { closeSync, fdatasync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import { decodeEvent } from '../event/index.ts';
import {
  decodeChain,
  encodeHeader,
  HEADER_BYTES,
  MAX_RECORD_BYTES,
  RECORD_CHAIN,
  RECORD_EVENT,
  RECORD_HEAD_BYTES,
  RECORD_OPEN_HOPS,
  readRecord,
  type SegmentHeader,
  writeRecord,
} from './segment.ts';

export const SEGMENT_SUFFIX = '.spool';

/** One file of the spool, as known in memory. */
export interface Segment {
  readonly path: string;
  readonly firstSeq: number;
  /** Bytes that count; the file may have more after a write that failed. */
  bytes: number;
}

/** Records read in order: chains stand before the events that name them. */
export interface SpoolBatch {
  readonly events: readonly Buffer[];
  readonly chains: readonly ChainBody[];
  /** Number of the last event; 0 where the batch has none. */
  readonly lastSeq: number;
  /** Bytes of the file that were read. */
  readonly bytes: number;
}

/** Makes the file of a new segment; its name sorts by number. Durable with `durable`, else in the kernel. */
export function beginSegment(
  dir: string,
  header: SegmentHeader,
  openHops: Buffer,
  durable: boolean,
): { segment: Segment; fd: number } {
  const path = join(dir, `${String(header.firstSeq).padStart(16, '0')}${SEGMENT_SUFFIX}`);
  const start = Buffer.alloc(HEADER_BYTES + RECORD_HEAD_BYTES + openHops.length);
  encodeHeader(header).copy(start);
  writeRecord(start, HEADER_BYTES, RECORD_OPEN_HOPS, openHops);
  const fd = openSync(path, 'w+', 0o600);
  try {
    // If the process dies here, the file is empty or cut short: recovery removes it and goes on with the segment before. If it
    // dies after this write, the segment is whole and empty: recovery goes on with it, and its number says where to count on.
    writeFully(fd, start, start.length, 0);
    if (durable) {
      fsyncSync(fd);
      syncFolder(dir);
    }
  } catch (thrown) {
    closeSync(fd);
    unlinkSync(path);
    throw thrown;
  }
  return { segment: { path, firstSeq: header.firstSeq, bytes: start.length }, fd };
}

/** What the spool asks of the disk in its running; a test puts faults in its place. */
export interface SpoolIo {
  /** Writes all of the first `length` bytes at `position`, or throws. */
  readonly write: (fd: number, bytes: Buffer, length: number, position: number) => void;
  readonly sync: (fd: number, done: (error: Error | null) => void) => void;
}

export const REAL_IO: SpoolIo = { write: writeFully, sync: fdatasync };

function writeFully(fd: number, bytes: Buffer, length: number, position: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, bytes, done, length - done, position + done);
}

/**
 * Reads the whole records from `offset` on that end before `end`, about `most` bytes of them but at least one.
 * @throws {BehalfError} `data_directory_unusable` for a record that does not check
 */
export async function readBatch(path: string, offset: number, end: number, most: number): Promise<SpoolBatch> {
  const events: Buffer[] = [];
  const chains: ChainBody[] = [];
  const window = Buffer.allocUnsafe(Math.min(end - offset, Math.max(most, MAX_RECORD_BYTES + RECORD_HEAD_BYTES)));
  const handle = await open(path, 'r');
  let read: number;
  try {
    ({ bytesRead: read } = await handle.read(window, 0, window.length, offset));
  } finally {
    await handle.close();
  }
  let at = 0;
  const whole = window.subarray(0, read);
  for (let record = readRecord(whole, 0); record !== null; record = readRecord(whole, at)) {
    if (record.type === RECORD_EVENT) events.push(record.payload);
    else if (record.type === RECORD_CHAIN) chains.push(decodeChain(record.payload));
    at = record.end;
  }
  if (at === 0)
    throw new BehalfError('data_directory_unusable', {
      path,
      at: offset,
      why: 'a record of the audit spool is damaged',
    });
  const last = events.at(-1);
  return { events, chains, lastSeq: last === undefined ? 0 : decodeEvent(last).seq, bytes: at };
}

function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
