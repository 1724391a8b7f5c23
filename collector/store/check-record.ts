/**
 * Checks the record's database against the log: every event must be the one whose commitment the leaf holds, everything that is
 * derived from it must be what it derives to, every sealed value must open. What a verified log vouches for, this carries over to
 * what queries answer. Not covered: findings and the times at which hops were first seen, which are the collector's own notes.
 */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { chainIdOf, decodeEvent, decodeLogEntry, joinEvent, partEvent } from '../../audit/event/index.ts';
import { parseBundle, TILE_WIDTH, tilePath } from '../../audit/merkle/index.ts';
import type { Difference, LogFolder } from '../../audit/verify-log/index.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import { reportOf } from '../match/match-sides.ts';
import { decodeChainBody } from './chain-body.ts';
import { columnsOf, KIND_HOP } from './columns.ts';
import { chainPlace, eventPlace } from './places.ts';
import { openRecordToRead } from './schema.ts';
import { unseal } from './seal.ts';

export type RecordVerdict = { readonly ok: true; readonly events: number; readonly erased: number } | Difference;

type Row = Record<string, SQLOutputValue>;

/** Ends the check; a class only so that it can be thrown and told apart. */
class Differs extends Error {
  readonly difference: Difference;

  constructor(place: string, expected: string, found: string) {
    super(place);
    this.difference = { ok: false, place: `record ${place}`, expected, found };
  }
}

/**
 * Checks the first `size` events of a record against the entries of a log that `verifyLog` found good, and the rest of the
 * record against itself. Names the first place that differs.
 * @throws {BehalfError} `data_directory_unusable` if the file cannot be opened
 */
export function checkRecord(options: { file: string; folder: LogFolder; size: number }): RecordVerdict {
  const database = openRecordToRead(options.file);
  try {
    checkFile(database);
    // One view of the record, also while the collector goes on writing.
    database.exec('BEGIN');
    const counts = checkEvents(database, options.folder, options.size);
    checkChains(database);
    checkCalls(database);
    checkSources(database);
    return { ok: true, ...counts };
  } catch (error) {
    if (error instanceof Differs) return error.difference;
    // What SQLite or a decoder cannot read is a changed byte too.
    return {
      ok: false,
      place: 'record',
      expected: 'a readable database',
      found: error instanceof Error ? error.message : String(error),
    };
  } finally {
    database.close();
  }
}

function checkFile(database: DatabaseSync): void {
  const found = String(Object.values(database.prepare('PRAGMA integrity_check(1)').get() ?? {})[0]);
  if (found !== 'ok') throw new Differs('file', 'an intact database', found);
}

function checkEvents(database: DatabaseSync, folder: LogFolder, size: number): { events: number; erased: number } {
  const rows = database.prepare(
    `SELECT e.*, s.reporter, s.epoch, p.subject, p.key, c.chain_id FROM events e LEFT JOIN sources s ON s.id = e.source_id
     LEFT JOIN subjects p ON p.id = e.subject_id LEFT JOIN chains c ON c.id = e.chain ORDER BY e.idx`,
  );
  let events = 0;
  let erased = 0;
  let bundle: readonly Buffer[] = [];
  for (const row of rows.iterate()) {
    same(`event ${events}`, 'index', events, row.idx);
    if (events < size) {
      if (events % TILE_WIDTH === 0) bundle = readEntries(folder, events / TILE_WIDTH, size);
      sameBytes(`event ${events}`, 'entry', bundle[events % TILE_WIDTH] ?? Buffer.alloc(0), row.entry);
    }
    if (!reading(`event ${events}`, () => checkEvent(row))) erased++;
    events++;
  }
  if (events < size) throw new Differs(`event ${events}`, `${size} events`, `${events} events`);
  return { events, erased };
}

/** Whether the event still has its personal part. */
function checkEvent(row: Row): boolean {
  const place = `event ${row.idx}`;
  const { reporter, event: publicBytes, personalCommitment } = decodeLogEntry(bytes(row.entry));
  const publicEvent = decodeEvent(publicBytes);
  same(place, 'reporter', reporter, row.reporter);
  sameBytes(place, 'epoch', publicEvent.epoch, row.epoch);
  same(place, 'seq', publicEvent.seq, row.seq);
  for (const [name, value] of Object.entries(columnsOf(publicEvent))) {
    if (Buffer.isBuffer(value)) sameBytes(place, name, value, row[name]);
    else same(place, name, value, row[name]);
  }
  same(place, 'secret', personalCommitment.length > 0, row.secret !== null);
  if (row.secret === null || row.key === null || row.key === undefined) return row.secret === null;
  const event = joinEvent(publicEvent, unseal(bytes(row.key), eventPlace(Number(row.idx)), bytes(row.secret)));
  const parted = partEvent(reporter, event);
  sameBytes(place, 'entry', parted.entry, row.entry);
  same(place, 'subject', parted.subject, row.subject);
  const chainId = event.body === 'hop' ? event.hop.chainId : Buffer.alloc(0);
  sameBytes(place, 'chain', chainId, row.chain_id ?? Buffer.alloc(0));
  return true;
}

function checkChains(database: DatabaseSync): void {
  const rows = database.prepare(
    'SELECT c.chain_id, c.body, p.key FROM chains c JOIN subjects p ON p.id = c.subject_id WHERE c.body IS NOT NULL',
  );
  for (const row of rows.iterate()) {
    const chainId = bytes(row.chain_id);
    const place = `chain ${chainId.toString('hex')}`;
    const open = (): ChainBody =>
      decodeChainBody(chainId, unseal(bytes(row.key), chainPlace(chainId), bytes(row.body)));
    const chain = reading(place, open);
    sameBytes(place, 'id', chainIdOf(chain), chainId);
  }
}

function checkCalls(database: DatabaseSync): void {
  const reports = database.prepare(`SELECT entry FROM events WHERE hop_id = ? AND kind = ${KIND_HOP}`);
  let calls = 0;
  for (const row of database.prepare('SELECT hop_id, sides, due, denied FROM calls').iterate()) {
    const expected = { sides: 0, due: 0, denied: 0 };
    for (const { entry } of reports.all(row.hop_id ?? null)) {
      const { reporter, event: encoded } = decodeLogEntry(bytes(entry));
      const event = decodeEvent(encoded);
      if (event.body !== 'hop') continue;
      const { side, due, denied } = reportOf(event.hop, reporter);
      expected.sides |= side;
      expected.due |= due;
      expected.denied |= denied ? 1 : 0;
    }
    const place = `call ${bytes(row.hop_id).toString('base64url')}`;
    for (const name of ['sides', 'due', 'denied'] as const) same(place, name, expected[name], row[name]);
    calls++;
  }
  const hops = database
    .prepare(`SELECT count(DISTINCT hop_id) AS hops FROM events WHERE kind = ${KIND_HOP}`)
    .get()?.hops;
  same('calls', 'count', calls, hops);
}

function checkSources(database: DatabaseSync): void {
  const rows = database.prepare(
    `SELECT s.reporter, s.last_seq, s.missing, max(e.seq) AS last, max(e.seq) - count(*) AS gaps
     FROM sources s JOIN events e ON e.source_id = s.id GROUP BY s.id`,
  );
  for (const row of rows.iterate()) {
    same(`source ${row.reporter}`, 'last_seq', row.last, row.last_seq);
    same(`source ${row.reporter}`, 'missing', row.gaps, row.missing);
  }
}

/** The entries of a bundle; a longer one may have taken its place. */
function readEntries(folder: LogFolder, n: number, size: number): Buffer[] {
  const place = { level: 'entries', n, width: Math.min(TILE_WIDTH, size - n * TILE_WIDTH) } as const;
  const file = folder.read(tilePath(place)) ?? folder.read(tilePath({ ...place, width: TILE_WIDTH }));
  if (file === null) throw new Differs(`event ${n * TILE_WIDTH}`, `an entry in ${tilePath(place)}`, 'no such file');
  return parseBundle(file);
}

/** Names the place of what cannot be decoded or opened. */
function reading<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Differs) throw error;
    throw new Differs(place, 'what was stored', error instanceof Error ? error.message : String(error));
  }
}

function same(place: string, name: string, expected: unknown, found: unknown): void {
  if (expected !== found) throw new Differs(`${place} ${name}`, String(expected), String(found));
}

function sameBytes(place: string, name: string, expected: Buffer, found: unknown): void {
  const other = found instanceof Uint8Array ? Buffer.from(found) : Buffer.alloc(0);
  if (!expected.equals(other)) throw new Differs(`${place} ${name}`, expected.toString('hex'), other.toString('hex'));
}

function bytes(value: SQLOutputValue | undefined): Buffer {
  return Buffer.from(value as Uint8Array);
}
