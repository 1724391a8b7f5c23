/**
 * Reads a spool's folder as a crash may have left it, and mends it: a torn last record is cut off, a segment that was not yet
 * born is removed. After a loss of power under `durability: normal` an older segment may be torn too; then what is whole goes
 * on, and the numbers that are missing show as a sequence gap at the collector.
 */
import { readdirSync, readFileSync, truncateSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import { decodeEvent } from '../event/index.ts';
import { decodeOpenHops, followHop, type OpenHops } from './open-hops.ts';
import { SKIP_AFTER_POWER_LOSS } from './power-mark.ts';
import { HEADER_BYTES, RECORD_EVENT, RECORD_OPEN_HOPS, readHeader, readRecord } from './segment.ts';
import { SEGMENT_SUFFIX, type Segment } from './segment-file.ts';

export interface Recovered {
  /** Null for a folder without a spool: the caller begins a new epoch. */
  readonly epoch: Buffer | null;
  /** Oldest first; the last is the one to go on with. */
  readonly segments: Segment[];
  readonly nextSeq: number;
  readonly open: OpenHops;
  /** Bytes of torn records that were cut off. */
  readonly tornBytes: number;
  /** Events that were on record and are not any more. */
  readonly lostEvents: number;
}

/**
 * Recovers a spool's folder.
 * @throws {BehalfError} `data_directory_unusable` if it cannot be read or holds segments that do not belong together
 */
export function recoverSpool(dir: string): Recovered {
  const names = readdirSync(dir).filter((name) => name.endsWith(SEGMENT_SUFFIX));
  const paths = names.sort().map((name) => join(dir, name));
  const segments: Segment[] = [];
  const open: OpenHops = new Map();
  let epoch: Buffer | null = null;
  let nextSeq = 1;
  let tornBytes = 0;
  let lostEvents = 0;
  for (const path of paths) {
    const bytes = readFileSync(path);
    const header = readHeader(bytes);
    const first = header === null ? null : readRecord(bytes, HEADER_BYTES);
    if (header === null || first?.type !== RECORD_OPEN_HOPS) {
      // Header and open hops are written at once when a segment begins, before any event: if they are not whole, the process
      // died just then, all events are in the segments before, and the file is as if it had never been.
      tornBytes += bytes.length;
      unlinkSync(path);
      continue;
    }
    if (segments.length > 0 && (header.firstSeq < nextSeq || epoch?.equals(header.epoch) !== true)) {
      throw new BehalfError('data_directory_unusable', { path, why: 'segments of two spools in one folder' });
    }
    const missing = segments.length > 0 ? header.firstSeq - nextSeq : 0;
    // Numbers that were left out on purpose are no events.
    lostEvents += missing >= SKIP_AFTER_POWER_LOSS ? missing - SKIP_AFTER_POWER_LOSS : missing;
    epoch = header.epoch;
    nextSeq = header.firstSeq;
    open.clear();
    decodeOpenHops(first.payload, open);
    let at = first.end;
    for (let record = readRecord(bytes, at); record !== null; record = readRecord(bytes, at)) {
      if (record.type === RECORD_EVENT) {
        const event = decodeEvent(record.payload);
        // What lies beyond the end of an earlier write that the disk refused may still be whole; its numbers do not go on.
        if (event.seq !== nextSeq) break;
        followHop(open, event);
        nextSeq++;
      }
      at = record.end;
    }
    if (at < bytes.length) {
      // What was being written when the process died: nobody was answered on its strength.
      tornBytes += bytes.length - at;
      truncateSync(path, at);
    }
    segments.push({ path, firstSeq: header.firstSeq, bytes: at });
  }
  return { epoch, segments, nextSeq, open, tornBytes, lostEvents };
}
