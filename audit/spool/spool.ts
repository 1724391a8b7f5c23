/**
 * The spool: what a reporter has put on record and the collector has not yet acknowledged, in append-only files (DESIGN sections
 * 2 and 7). Owns sequence numbers, durability and bounds; `audit/report` delivers.
 *
 * Trusted for: nothing beyond this machine. Who can write here can withhold or forge this reporter's own events, nobody else's.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { BehalfError } from '../../errors/index.ts';
import type { ChainBody, Event, EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import { encodeEvent, MAX_EVENT_BYTES } from '../event/index.ts';
import { lockFolder } from './lock-folder.ts';
import { encodeOpenHops, followHop, openHopKey, unknownEnds } from './open-hops.ts';
import { bootName, mayHaveLostPower, SKIP_AFTER_POWER_LOSS, writePowerMark } from './power-mark.ts';
import { type Recovered, recoverSpool } from './recover.ts';
import {
  EPOCH_BYTES,
  encodeChain,
  HEADER_BYTES,
  MAX_RECORD_BYTES,
  RECORD_CHAIN,
  RECORD_EVENT,
  RECORD_HEAD_BYTES,
  writeRecord,
} from './segment.ts';
import { beginSegment, REAL_IO, readBatch, type Segment, type SpoolBatch, type SpoolIo } from './segment-file.ts';

/** `normal`: survives the death of the process. `strict`: survives the loss of power too. */
export type Durability = 'normal' | 'strict';

/** Bytes on disk at which events are refused with `audit_unavailable`: about half a million hops. */
const DEFAULT_MAX_SPOOL_BYTES = 256 * 1024 * 1024;
/** A segment that has grown beyond this is followed by a new one; acknowledged segments are removed whole. */
const DEFAULT_SEGMENT_BYTES = 4 * 1024 * 1024;
/** Room that every open hop keeps for its end, so that a full spool can still say how calls ended. */
const END_RESERVE_BYTES = 256;

export interface SpoolOptions {
  readonly dir: string;
  readonly durability: Durability;
  readonly maxBytes?: number;
  readonly segmentBytes?: number;
  /** Microseconds since the epoch. */
  readonly nowUs: () => number;
  readonly io?: SpoolIo;
  /** Name of this boot of the machine. */
  readonly boot?: string;
}

/** A place in the spool, to read on from. */
export interface SpoolCursor {
  /** Number of the segment's first event. */
  readonly segment: number;
  readonly offset: number;
}

export interface Spool {
  readonly epoch: Buffer;
  /** What opening it found: hops closed as `unknown`, bytes of torn records, events that are lost, numbers that are left out. */
  readonly recovered: {
    readonly unknownHops: number;
    readonly tornBytes: number;
    readonly lostEvents: number;
    readonly skippedNumbers: number;
  };
  /**
   * Puts an event into this turn's write. The promise is the turn's: it resolves once the write is as durable as configured.
   * It rejects, as `append` throws, with `audit_unavailable` (full, or the disk refused); then the event is not on record.
   */
  readonly append: (event: EventBody) => Promise<void>;
  /** Puts a chain body into this turn's write, before the events that follow. */
  readonly appendChain: (chain: ChainBody) => Promise<void>;
  /** The oldest place. */
  readonly first: () => SpoolCursor;
  /** What is durably written from there on, about `most` bytes of it, and the place after it; null at the end. */
  readonly read: (from: SpoolCursor, most: number) => Promise<{ batch: SpoolBatch; next: SpoolCursor } | null>;
  /** Everything up to this number is with the collector. */
  readonly acknowledge: (seq: number) => void;
  /** Called after each durable write. */
  readonly onWritten: (listener: () => void) => void;
  readonly state: () => { readonly bytes: number; readonly nextSeq: number; readonly openHops: number };
  /** Writes what is pending and closes the files. */
  readonly close: () => Promise<void>;
}

interface Turn {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (cause: BehalfError) => void;
}

/**
 * Opens a spool, mends what a crash left, and closes the hops that were open then with outcome `unknown`.
 * @throws {BehalfError} `data_directory_unusable`, `config_invalid`
 */
export function openSpool(options: SpoolOptions): Spool {
  const { maxBytes = DEFAULT_MAX_SPOOL_BYTES, segmentBytes = DEFAULT_SEGMENT_BYTES, io = REAL_IO } = options;
  if (!(maxBytes >= 2 * segmentBytes))
    throw new BehalfError('config_invalid', { why: 'the spool must hold two segments', maxBytes });
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(options.dir);
  try {
    const recovered = recoverSpool(options.dir);
    const boot = options.boot ?? bootName();
    // If the process dies between this question and the mark below, the next start asks again and skips once more.
    const skip = recovered.epoch !== null && mayHaveLostPower(options.dir, boot) ? SKIP_AFTER_POWER_LOSS : 0;
    return runSpool({ ...options, maxBytes, segmentBytes, io, boot }, recovered, skip, unlock);
  } catch (thrown) {
    unlock();
    throw thrown;
  }
}

function runSpool(options: Required<SpoolOptions>, recovered: Recovered, skip: number, unlock: () => void): Spool {
  const { dir, maxBytes, segmentBytes, nowUs, io, boot } = options;
  const strict = options.durability === 'strict';
  const { segments, open, tornBytes, lostEvents } = recovered;
  const epoch = recovered.epoch ?? randomBytes(EPOCH_BYTES);
  const listeners: (() => void)[] = [];

  let active: Segment;
  let fd: number;
  const newest = segments.at(-1);
  const firstSeq = recovered.nextSeq + skip;
  if (newest === undefined || skip > 0) {
    // Durable with the mark after it: else a second loss of power could take the skip and leave the mark.
    ({ segment: active, fd } = beginSegment(dir, { epoch, firstSeq }, encodeOpenHops(open), strict || skip > 0));
    segments.push(active);
  } else {
    active = newest;
    fd = openSync(active.path, 'r+');
  }
  writePowerMark(dir, { boot, synced: strict });
  let bytesOnDisk = segments.reduce((bytes, segment) => bytes + segment.bytes, 0);
  /** How far delivery may read: what is as durable as configured. */
  let readable: SpoolCursor = endOf(active);

  // INVARIANT: events of the turn that is not yet written have the numbers from `seqOnDisk` to `nextSeq` - 1.
  let seqOnDisk = firstSeq;
  let nextSeq = seqOnDisk;
  let batch = Buffer.allocUnsafe(64 * 1024);
  let batchBytes = 0;
  /** Events of the batch that open or close a hop; they count once they are written. */
  let batchHops: EventBody[] = [];
  let turn: Turn | null = null;
  let timer: NodeJS.Immediate | null = null;
  /** In strict mode: written, waiting for the next fdatasync. */
  let unsynced: Turn[] = [];
  let syncing = false;
  let lastTurn: Promise<void> = Promise.resolve();
  /** Whether bytes of a write that failed may lie beyond `active.bytes`. */
  let tailDirty = false;
  let broken: BehalfError | null = null;
  let closed = false;

  function append(body: EventBody): Promise<void> {
    const payload = encodeEvent({ ...body, seq: nextSeq, epoch, timeUs: nowUs() } as Event);
    if (payload.length > MAX_EVENT_BYTES)
      throw new BehalfError('audit_unavailable', { why: 'event too large', bytes: payload.length });
    const opens = body.body === 'hop' && body.hop.goesOn;
    const closes = body.body === 'hopEnd' && open.has(openHopKey(body.hopEnd.side, body.hopEnd.hopId));
    // The end of an open hop has its room since the hop began.
    checkRoom(closes ? 0 : RECORD_HEAD_BYTES + payload.length + (opens ? END_RESERVE_BYTES : 0));
    nextSeq++;
    if (opens || body.body === 'hopEnd') batchHops.push(body);
    return add(RECORD_EVENT, payload);
  }

  function appendChain(chain: ChainBody): Promise<void> {
    const payload = encodeChain(chain);
    if (payload.length > MAX_RECORD_BYTES)
      throw new BehalfError('audit_unavailable', { why: 'chain too large', bytes: payload.length });
    checkRoom(RECORD_HEAD_BYTES + payload.length);
    return add(RECORD_CHAIN, payload);
  }

  function checkRoom(bytes: number): void {
    if (broken !== null) throw broken;
    if (closed) throw new BehalfError('audit_unavailable', { why: 'shutting down' });
    if (bytes > 0 && bytesHeld() + bytes > maxBytes)
      throw new BehalfError('audit_unavailable', { why: 'spool full', maxBytes });
  }

  function bytesHeld(): number {
    return bytesOnDisk + batchBytes + open.size * END_RESERVE_BYTES;
  }

  function add(type: number, payload: Buffer): Promise<void> {
    const end = batchBytes + RECORD_HEAD_BYTES + payload.length;
    if (end > batch.length) {
      const larger = Buffer.allocUnsafe(Math.max(batch.length * 2, end));
      batch.copy(larger, 0, 0, batchBytes);
      batch = larger;
    }
    batchBytes = writeRecord(batch, batchBytes, type, payload);
    if (turn === null) {
      turn = Promise.withResolvers<void>();
      // A caller may have gone by the time that its turn fails; those that wait still see it.
      lastTurn = turn.promise.catch(ignore);
      timer = setImmediate(flush);
    }
    return turn.promise;
  }

  /** The turn's one write. */
  function flush(): void {
    if (timer !== null) clearImmediate(timer);
    timer = null;
    const written = turn;
    if (written === null) return;
    const [bytes, hops] = [batchBytes, batchHops];
    turn = null;
    batchBytes = 0;
    batchHops = [];
    try {
      if (active.bytes >= segmentBytes && !syncing) rotate();
      if (tailDirty) ftruncateSync(fd, active.bytes);
      tailDirty = true;
      // If the process dies in this write, recovery keeps the records that are whole and cuts off the rest; nobody has been
      // answered on the strength of any of them yet.
      io.write(fd, batch, bytes, active.bytes);
      tailDirty = false;
    } catch (cause) {
      // Refused by the disk, most likely full: none of these events is on record, and their numbers are used again. What was
      // written of them lies beyond `active.bytes` and is cut off before the next write. Goes on by itself.
      nextSeq = seqOnDisk;
      written.reject(new BehalfError('audit_unavailable', { why: 'the disk refused the write' }, { cause }));
      return;
    }
    active.bytes += bytes;
    bytesOnDisk += bytes;
    seqOnDisk = nextSeq;
    for (const body of hops) followHop(open, body);
    if (!strict) {
      finish([written], endOf(active));
    } else {
      unsynced.push(written);
      if (!syncing) sync();
    }
  }

  function sync(): void {
    const turns = unsynced;
    const upTo = endOf(active);
    unsynced = [];
    syncing = true;
    io.sync(fd, (error) => {
      syncing = false;
      if (error !== null) return breakDown(error, turns);
      finish(turns, upTo);
      if (unsynced.length > 0) sync();
    });
  }

  function finish(turns: readonly Turn[], upTo: SpoolCursor): void {
    readable = upTo;
    for (const done of turns) done.resolve();
    for (const listener of listeners) listener();
  }

  /** After a failed fsync nobody knows what the disk holds, and a second one may wrongly say yes: stop until restarted. */
  function breakDown(cause: Error, turns: readonly Turn[]): void {
    broken = new BehalfError('audit_unavailable', { why: 'the disk failed to sync; restart to recover' }, { cause });
    for (const refused of [...turns, ...unsynced]) refused.reject(broken);
    unsynced = [];
  }

  function rotate(): void {
    const old = fd;
    if (strict) fdatasyncSync(old);
    const begun = beginSegment(dir, { epoch, firstSeq: seqOnDisk }, encodeOpenHops(open), strict);
    ({ segment: active, fd } = begun);
    segments.push(active);
    bytesOnDisk += active.bytes;
    // In normal mode nobody waits for the old one; it is synced so that a loss of power can tear little more than the last.
    if (strict) closeSync(old);
    else fdatasync(old, () => closeSync(old));
  }

  function acknowledge(seq: number): void {
    // A segment goes once an event *after* it is acknowledged: then chains at its end have arrived too. If the process dies
    // before the file is gone, its events are sent again and stored once.
    for (let second = segments[1]; second !== undefined && second.firstSeq <= seq; second = segments[1]) {
      const gone = segments.shift();
      if (gone === undefined) return;
      bytesOnDisk -= gone.bytes;
      unlinkSync(gone.path);
    }
  }

  async function read(from: SpoolCursor, most: number): Promise<{ batch: SpoolBatch; next: SpoolCursor } | null> {
    const index = segments.findIndex((segment) => segment.firstSeq === from.segment);
    const segment = segments[index];
    if (segment === undefined)
      throw new BehalfError('internal', { why: 'the spool has no such segment', segment: from.segment });
    const isLast = from.segment === readable.segment;
    const end = isLast ? readable.offset : segment.bytes;
    if (from.offset < end) {
      const read = await readBatch(segment.path, from.offset, end, most);
      return { batch: read, next: { segment: from.segment, offset: from.offset + read.bytes } };
    }
    const following = segments[index + 1];
    return isLast || following === undefined ? null : read({ segment: following.firstSeq, offset: HEADER_BYTES }, most);
  }

  /** A disk that fails here costs no event, only numbers: without the mark the next boot leaves some out. */
  function markSynced(): void {
    try {
      fdatasyncSync(fd);
      writePowerMark(dir, { boot, synced: true });
    } catch {
      // The mark stands as it was when the spool was opened.
    }
  }

  const unknownHops = open.size;
  // If the process dies before or in this write, the hops that it does not close are still open in what is on disk, and the
  // next start closes them.
  for (const hopEnd of unknownEnds(open)) append({ body: 'hopEnd', hopEnd });
  flush();

  return {
    epoch,
    recovered: { unknownHops, tornBytes, lostEvents, skippedNumbers: skip },
    append,
    appendChain,
    first: () => ({ segment: segments[0]?.firstSeq ?? active.firstSeq, offset: HEADER_BYTES }),
    read,
    acknowledge,
    onWritten: (listener) => void listeners.push(listener),
    state: () => ({ bytes: bytesHeld(), nextSeq, openHops: open.size }),
    async close() {
      if (closed) return;
      closed = true;
      flush();
      await lastTurn;
      if (!strict && broken === null) markSynced();
      closeSync(fd);
      unlock();
    },
  };
}

function endOf(segment: Segment): SpoolCursor {
  return { segment: segment.firstSeq, offset: segment.bytes };
}

function ignore(): void {}
