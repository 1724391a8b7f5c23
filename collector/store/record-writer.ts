/**
 * Writes events into the record: numbers the leaves, seals what is personal, follows sequences and sides. One transaction a batch;
 * a reporter's event is stored once, however often it is sent.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { defectOfChain, type Event, type PartedEvent, parseEvent, partEvent } from '../../audit/event/index.ts';
import { BUILT_IN_DETAIL_TYPES, type DetailTypes } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { ChainBody, ReportRequest } from '../../proto/behalf/audit/v1/audit.ts';
import { createCrossCheck } from '../match/cross-check.ts';
import { createFindings } from '../match/findings.ts';
import { isOwnSide, reportOf } from '../match/match-sides.ts';
import { createOverspending } from '../match/overspending.ts';
import { decodeChainBody, encodeChainBody, subjectOfChain } from './chain-body.ts';
import { columnsOf } from './columns.ts';
import { chainPlace, eventPlace } from './places.ts';
import { seal, unseal } from './seal.ts';
import { createSubjects } from './subjects.ts';

/** A reporter's request, read and found well formed. */
export interface Report {
  readonly reporter: string;
  readonly events: readonly { readonly event: Event; readonly parted: PartedEvent }[];
  readonly chains: readonly ChainBody[];
}

/** How far an epoch of a reporter is stored. */
export interface StoredThrough {
  readonly epoch: Buffer;
  readonly seq: number;
}

export interface RecordWriter {
  /** Number of events in the record: the size that the log has or is to get. */
  readonly size: () => number;
  /**
   * Stores reports in one transaction, durable once this returns. Gives how far each is stored, and the entries that are new.
   * @throws {BehalfError} `audit_unavailable` if the database refuses; then nothing of it is stored
   */
  readonly store: (reports: readonly Report[]) => { stored: StoredThrough[]; entries: Buffer[] };
  /** Entries of the record, from one index up to another. */
  readonly entries: (from: number, to: number) => Buffer[];
  /** Makes and resolves findings. */
  readonly sweep: () => { found: number; resolved: number };
}

interface Source {
  readonly id: number;
  lastSeq: number;
  missing: number;
}

/** Events of one request: more would keep the event loop, and so every other reporter, too long. Reporters send far fewer. */
const MAX_REQUEST_EVENTS = 4_096;

/** Sources kept in memory; beyond it they are read again. */
const MAX_CACHED_SOURCES = 10_000;

/**
 * Reads a request.
 * @throws {BehalfError} `request_malformed` for too many events, one that is not canonical, or a chain that is not what its id
 *   says
 */
export function parseReport(reporter: string, request: ReportRequest): Report {
  if (request.events.length > MAX_REQUEST_EVENTS)
    throw new BehalfError('request_malformed', { why: 'too many events in one request', limit: MAX_REQUEST_EVENTS });
  const events = request.events.map((bytes) => {
    const event = parseEvent(bytes);
    return { event, parted: partEvent(reporter, event) };
  });
  for (const chain of request.chains) {
    const defect = defectOfChain(chain);
    if (defect !== null) throw new BehalfError('request_malformed', { why: `a chain is not well formed: ${defect}` });
  }
  return { reporter, events, chains: request.chains };
}

/** Takes over the writing of a record. `nowUs` is the collector's clock, `detailTypes` the registered types of details. */
export function createRecordWriter(
  database: DatabaseSync,
  nowUs: () => number,
  detailTypes: () => DetailTypes = () => BUILT_IN_DETAIL_TYPES,
): RecordWriter {
  const subjects = createSubjects(database);
  const findings = createFindings(database);
  const crossCheck = createCrossCheck(database, findings);
  const overspending = createOverspending(database, detailTypes);
  const statements = prepare(database);
  const sources = new Map<string, Source>();
  let size = Number(database.prepare('SELECT coalesce(max(idx) + 1, 0) AS size FROM events').get()?.size);

  function inTransaction<T>(work: () => T): T {
    const sizeBefore = size;
    try {
      database.exec('BEGIN IMMEDIATE');
      const result = work();
      // If the process dies before this returns, nothing of the batch is stored or acknowledged, and its reporters send it
      // again. If it dies after, all of it is stored: what was not acknowledged is sent again and found stored, and the log is
      // brought up to the record at the next start.
      database.exec('COMMIT');
      return result;
    } catch (cause) {
      size = sizeBefore;
      sources.clear();
      subjects.reset();
      crossCheck.reset();
      if (database.isTransaction) database.exec('ROLLBACK');
      throw new BehalfError('audit_unavailable', { why: 'the record cannot be written' }, { cause });
    }
  }

  function sourceOf(reporter: string, epoch: Buffer): Source {
    const key = `${reporter} ${epoch.toString('latin1')}`;
    const known = sources.get(key);
    if (known !== undefined) return known;
    const row = statements.findSource.get(reporter, epoch);
    const source =
      row === undefined
        ? { id: Number(statements.addSource.run(reporter, epoch).lastInsertRowid), lastSeq: 0, missing: 0 }
        : { id: Number(row.id), lastSeq: Number(row.last_seq), missing: Number(row.missing) };
    if (sources.size >= MAX_CACHED_SOURCES) sources.clear();
    sources.set(key, source);
    return source;
  }

  /** Whether an event is to be stored; follows its source's sequence. */
  function isNew(source: Source, reporter: string, { epoch, seq }: Event): boolean {
    if (seq <= source.lastSeq) {
      // Sent again after a lost acknowledgement; or late, where a gap was found before.
      if (source.missing === 0 || statements.hasEvent.get(source.id, seq) !== undefined) return false;
      source.missing--;
      return true;
    }
    if (seq > source.lastSeq + 1) {
      source.missing += seq - source.lastSeq - 1;
      findings.gap({ reporter, epoch, from: source.lastSeq + 1, to: seq - 1, nowUs: nowUs() });
    }
    source.lastSeq = seq;
    return true;
  }

  function storeChain(reporter: string, chain: ChainBody): void {
    const known = statements.findChain.get(chain.chainId);
    if (known !== undefined && known.body !== null) return;
    const subject = subjects.keyFor(subjectOfChain(chain));
    const body = seal(subject.key, chainPlace(chain.chainId), encodeChainBody(chain));
    statements.putChain.run(chain.chainId, subject.id, body);
    crossCheck.chain(Number(statements.findChain.get(chain.chainId)?.id), chain, nowUs());
    for (const overspent of overspending.note(chain, nowUs()))
      findings.overspent({ reporter, overspent, nowUs: nowUs() });
  }

  function bodyOf(chainId: Buffer): Omit<ChainBody, 'chainId'> | null {
    const row = statements.findChain.get(chainId);
    const key = row === undefined || row.body === null ? null : subjects.keyOf(Number(row.subject_id));
    if (row === undefined || key === null) return null;
    return decodeChainBody(chainId, unseal(key, chainPlace(chainId), Buffer.from(row.body as Uint8Array)));
  }

  function storeEvent(source: Source, reporter: string, { event, parted }: Report['events'][number]): void {
    const index = size;
    const columns = columnsOf(event);
    let [subjectId, secret, chain]: [number | null, Buffer | null, number | null] = [null, null, null];
    if (parted.subject !== null && parted.secret !== null) {
      const subject = subjects.keyFor(parted.subject);
      subjectId = subject.id;
      secret = seal(subject.key, eventPlace(index), parted.secret);
      if (event.body === 'hop' && event.hop.chainId.length > 0) chain = chainRow(event.hop.chainId, subject.id);
    }
    const { kind, time_us, hop_id, request_id, side, outcome, caller, callee, code, txn } = columns;
    statements.addEvent.run(
      index,
      source.id,
      event.seq,
      kind,
      time_us,
      parted.entry,
      secret,
      subjectId,
      chain,
      hop_id,
      request_id,
      side,
      outcome,
      caller,
      callee,
      code,
      txn,
    );
    if (event.body === 'hop' && hop_id !== null) {
      const { side: bit, due, denied } = reportOf(event.hop, reporter);
      if (!isOwnSide(event.hop, reporter)) {
        const claimed =
          event.hop.side === 'SIDE_CALLER' || event.hop.side === 'SIDE_EXIT' ? event.hop.caller : event.hop.callee;
        findings.foreignSide({ reporter, hopId: hop_id, claimed, nowUs: nowUs() });
      } else {
        const { hop } = event;
        crossCheck.side({ hop, reporter, subject: subjectId, chain }, () => bodyOf(hop.chainId), nowUs());
      }
      statements.joinCall.run(hop_id, bit, due, denied ? 1 : 0, nowUs());
    }
    size++;
  }

  function chainRow(chainId: Buffer, subjectId: number): number {
    const known = statements.findChain.get(chainId);
    if (known !== undefined) return Number(known.id);
    return Number(statements.nameChain.run(chainId, subjectId).lastInsertRowid);
  }

  return {
    size: () => size,
    store(reports) {
      return inTransaction(() => {
        const stored: StoredThrough[] = [];
        const entries: Buffer[] = [];
        const touched = new Set<Source>();
        for (const { reporter, events, chains } of reports) {
          for (const chain of chains) storeChain(reporter, chain);
          let through: StoredThrough = { epoch: Buffer.alloc(0), seq: 0 };
          for (const { event, parted } of events) {
            const source = sourceOf(reporter, event.epoch);
            if (isNew(source, reporter, event)) {
              storeEvent(source, reporter, { event, parted });
              entries.push(parted.entry);
            }
            touched.add(source);
            through = { epoch: event.epoch, seq: event.seq };
          }
          stored.push(through);
        }
        for (const { lastSeq, missing, id } of touched) statements.moveSource.run(lastSeq, missing, id);
        return { stored, entries };
      });
    },
    entries: (from, to) => statements.entries.all(from, to).map((row) => Buffer.from(row.entry as Uint8Array)),
    sweep: () =>
      inTransaction(() => {
        overspending.sweep(nowUs());
        return findings.sweep(nowUs());
      }),
  };
}

function prepare(database: DatabaseSync): Record<StatementName, StatementSync> {
  return {
    findSource: database.prepare('SELECT id, last_seq, missing FROM sources WHERE reporter = ? AND epoch = ?'),
    addSource: database.prepare('INSERT INTO sources (reporter, epoch, last_seq) VALUES (?, ?, 0)'),
    moveSource: database.prepare('UPDATE sources SET last_seq = ?, missing = ? WHERE id = ?'),
    hasEvent: database.prepare('SELECT 1 FROM events WHERE source_id = ? AND seq = ?'),
    findChain: database.prepare('SELECT id, subject_id, body FROM chains WHERE chain_id = ?'),
    nameChain: database.prepare('INSERT INTO chains (chain_id, subject_id) VALUES (?, ?)'),
    putChain: database.prepare(
      `INSERT INTO chains (chain_id, subject_id, body) VALUES (?, ?, ?)
       ON CONFLICT (chain_id) DO UPDATE SET subject_id = excluded.subject_id, body = excluded.body`,
    ),
    addEvent: database.prepare(
      `INSERT INTO events (${EVENT_COLUMNS}) VALUES (${EVENT_COLUMNS.replaceAll(/\w+/g, '?')})`,
    ),
    joinCall: database.prepare(
      `INSERT INTO calls (hop_id, sides, due, denied, first_us) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (hop_id) DO UPDATE SET sides = sides | excluded.sides, due = due | excluded.due, denied = denied | excluded.denied`,
    ),
    entries: database.prepare('SELECT entry FROM events WHERE idx >= ? AND idx < ? ORDER BY idx'),
  };
}

type StatementName =
  | 'findSource'
  | 'addSource'
  | 'moveSource'
  | 'hasEvent'
  | 'findChain'
  | 'nameChain'
  | 'putChain'
  | 'addEvent'
  | 'joinCall'
  | 'entries';

const EVENT_COLUMNS =
  'idx, source_id, seq, kind, time_us, entry, secret, subject_id, chain, hop_id, request_id, side, outcome, caller, callee, code, txn';
