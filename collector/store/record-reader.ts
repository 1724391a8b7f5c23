/** Reads the record: events put together again with what their subject's key opens, and the totals, counted by SQL. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import { decodeEvent, decodeLogEntry, encodeEvent, joinEvent } from '../../audit/event/index.ts';
import type {
  ChainBody,
  Finding,
  FindingKind,
  ListHopsRequest,
  LoggedEvent,
  ReporterSummary,
} from '../../proto/behalf/audit/v1/audit.ts';
import { OVERDUE_US } from '../match/match-sides.ts';
import { decodeChainBody } from './chain-body.ts';
import { KIND_HOP, KIND_HOP_END } from './columns.ts';
import { chainPlace, eventPlace } from './places.ts';
import { unseal } from './seal.ts';
import { createSubjects } from './subjects.ts';

/** Counted over the whole record. */
export interface Totals {
  readonly hops: number;
  readonly denied: number;
  readonly oneSided: number;
  readonly reporters: readonly ReporterSummary[];
}

export interface RecordReader {
  /** Hop and HopEnd events that fit, in log order, at most `limit`. */
  readonly hops: (filter: HopFilter, limit: number) => LoggedEvent[];
  /** Events of one kind, or of all, from an index on. */
  readonly events: (
    filter: { kind: number | null; fromIndex: number; sinceUs: number },
    limit: number,
  ) => LoggedEvent[];
  readonly chainById: (chainId: Buffer) => { chain: ChainBody | null; events: LoggedEvent[] } | null;
  /** The chain that a hop ran on, and every event of that hop and of others on the same chain. */
  readonly chainOfHop: (hopId: Buffer) => { chain: ChainBody | null; events: LoggedEvent[] } | null;
  readonly totals: (nowUs: number) => Totals;
  readonly entry: (index: number) => Buffer | null;
  readonly findings: (filter: { openOnly: boolean; afterId: number }, limit: number) => Finding[];
}

export type HopFilter = Omit<ListHopsRequest, 'limit'>;

type Row = Record<string, SQLOutputValue>;

const COLUMNS = 'e.idx, s.reporter, e.entry, e.secret, e.subject_id';
const FROM = 'FROM events e JOIN sources s ON s.id = e.source_id';
/** Events that one chain's answer names at most. */
const MOST_CHAIN_EVENTS = 1_000;

export function createRecordReader(database: DatabaseSync): RecordReader {
  const subjects = createSubjects(database);
  const all = (where: string, parameters: Record<string, SQLInputValue>, limit: number): LoggedEvent[] =>
    database
      .prepare(`SELECT ${COLUMNS} ${FROM} WHERE ${where} ORDER BY e.idx LIMIT ${limit}`)
      .all(parameters)
      .map((row) => loggedEventOf(row));

  function loggedEventOf(row: Row): LoggedEvent {
    const index = Number(row.idx);
    const entry = bytes(row.entry);
    const publicEvent = decodeEvent(decodeLogEntry(entry).event);
    const key = row.subject_id === null ? null : subjects.keyOf(Number(row.subject_id));
    const secret = key === null || row.secret === null ? null : unseal(key, eventPlace(index), bytes(row.secret));
    return { index, reporter: String(row.reporter), event: encodeEvent(joinEvent(publicEvent, secret)), entry };
  }

  function chainOf(row: Row): { chain: ChainBody | null; events: LoggedEvent[] } {
    const chainId = bytes(row.chain_id);
    const key = subjects.keyOf(Number(row.subject_id));
    const chain =
      key === null || row.body === null
        ? null
        : decodeChainBody(chainId, unseal(key, chainPlace(chainId), bytes(row.body)));
    const events = all(
      `e.chain = :chain OR e.hop_id IN (SELECT hop_id FROM events WHERE chain = :chain)`,
      { chain: row.id ?? null },
      MOST_CHAIN_EVENTS,
    );
    return { chain, events };
  }

  return {
    hops(filter, limit) {
      const { where, parameters } = conditionsOf(filter, subjects.idOf);
      return all(where, parameters, limit);
    },
    events({ kind, fromIndex, sinceUs }, limit) {
      const ofKind = kind === null ? '' : 'AND e.kind = :kind ';
      const parameters = { fromIndex, sinceUs, ...(kind === null ? {} : { kind }) };
      return all(`e.idx >= :fromIndex ${ofKind}AND e.time_us >= :sinceUs`, parameters, limit);
    },
    chainById(chainId) {
      const row = database.prepare('SELECT id, chain_id, subject_id, body FROM chains WHERE chain_id = ?').get(chainId);
      return row === undefined ? null : chainOf(row);
    },
    chainOfHop(hopId) {
      const chains = database
        .prepare(
          `SELECT c.id, c.chain_id, c.subject_id, c.body FROM events e JOIN chains c ON c.id = e.chain
           WHERE e.hop_id = ? ORDER BY c.body IS NULL, e.side DESC LIMIT 1`,
        )
        .get(hopId);
      if (chains !== undefined) return chainOf(chains);
      const events = all('e.hop_id = :hopId', { hopId }, MOST_CHAIN_EVENTS);
      return events.length === 0 ? null : { chain: null, events };
    },
    totals(nowUs) {
      const calls = database
        .prepare(
          `SELECT count(*) AS hops, coalesce(sum(denied), 0) AS denied,
             coalesce(sum(due & ~sides <> 0 AND first_us < ?), 0) AS one_sided FROM calls`,
        )
        .get(nowUs - OVERDUE_US);
      const reporters = database
        .prepare(
          `SELECT s.reporter, s.epoch, min(e.seq) AS first_seq, max(e.seq) AS last_seq, count(*) AS events
           ${FROM} GROUP BY e.source_id ORDER BY s.id`,
        )
        .all();
      return {
        hops: Number(calls?.hops),
        denied: Number(calls?.denied),
        oneSided: Number(calls?.one_sided),
        reporters: reporters.map((row) => ({
          reporter: String(row.reporter),
          epoch: bytes(row.epoch),
          firstSeq: Number(row.first_seq),
          lastSeq: Number(row.last_seq),
          events: Number(row.events),
        })),
      };
    },
    entry(index) {
      const row = database.prepare('SELECT entry FROM events WHERE idx = ?').get(index);
      return row === undefined ? null : bytes(row.entry);
    },
    findings({ openOnly, afterId }, limit) {
      return database
        .prepare(
          `SELECT * FROM findings WHERE id > ? ${openOnly ? 'AND resolved_us = 0' : ''} ORDER BY id LIMIT ${limit}`,
        )
        .all(afterId)
        .map((row) => ({
          id: Number(row.id),
          kind: String(row.kind) as FindingKind,
          key: String(row.key),
          foundUs: Number(row.found_us),
          resolvedUs: Number(row.resolved_us),
          detail: String(row.detail),
        }));
    },
  };
}

/** The filters that are set, joined by and. A subject's hop ends carry no subject: they follow their hops. */
function conditionsOf(
  filter: HopFilter,
  subjectId: (subject: string) => number | null,
): { where: string; parameters: Record<string, SQLInputValue> } {
  const conditions = [`e.kind IN (${KIND_HOP}, ${KIND_HOP_END})`, 'e.idx >= :fromIndex'];
  const parameters: Record<string, SQLInputValue> = { fromIndex: filter.fromIndex };
  const add = (isSet: boolean, condition: string, named: Record<string, SQLInputValue>): void => {
    if (!isSet) return;
    conditions.push(condition);
    Object.assign(parameters, named);
  };
  add(
    filter.subject !== '',
    `(e.subject_id = :subject OR (e.kind = ${KIND_HOP_END} AND e.hop_id IN (SELECT hop_id FROM events WHERE subject_id = :subject)))`,
    { subject: filter.subject === '' ? null : (subjectId(filter.subject) ?? -1) },
  );
  add(filter.requestId.length > 0, 'e.request_id = :requestId', { requestId: filter.requestId });
  add(filter.hopId.length > 0, 'e.hop_id = :hopId', { hopId: filter.hopId });
  add(filter.caller !== '', 'e.caller = :caller', { caller: filter.caller });
  add(filter.callee !== '', 'e.callee = :callee', { callee: filter.callee });
  add(filter.code !== '', 'e.code = :code', { code: filter.code });
  add(filter.refusedOnly, 'e.outcome = 2', {});
  add(filter.sinceUs > 0, 'e.time_us >= :sinceUs', { sinceUs: filter.sinceUs });
  add(filter.untilUs > 0, 'e.time_us < :untilUs', { untilUs: filter.untilUs });
  add(filter.txn !== '', 'e.txn = :txn', { txn: filter.txn });
  return { where: conditions.join(' AND '), parameters };
}

function bytes(value: SQLOutputValue | undefined): Buffer {
  return Buffer.from(value as Uint8Array);
}
