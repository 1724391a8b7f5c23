/** Holds each report against what the record has already: the other side of its hop, and the chain that it names. */
import type { DatabaseSync } from 'node:sqlite';
import { OUTCOMES } from '../../audit/event/fields.ts';
import { decodeEvent, decodeLogEntry } from '../../audit/event/index.ts';
import type { ChainBody, Hop } from '../../proto/behalf/audit/v1/audit.ts';
import { type ChainFacts, chainFactsOf, disagreements, misfits, type SideFacts } from './compare-sides.ts';
import type { Findings } from './findings.ts';

/** One side as it is about to stand in the record. */
export interface StoredSide {
  readonly hop: Hop;
  readonly reporter: string;
  readonly subject: number | null;
  /** Row of its chain. */
  readonly chain: number | null;
}

export interface CrossCheck {
  /** A side was stored. `bodyOf` reads the body of its chain where there is one. */
  side(stored: StoredSide, bodyOf: () => Omit<ChainBody, 'chainId'> | null, nowUs: number): void;
  /** The body of a chain was stored, which hops may have named before. */
  chain(row: number, body: ChainBody, nowUs: number): void;
  /** Forgets what is in memory: after a rollback a row may become another chain's. */
  reset(): void;
}

/** Facts of chains kept in memory; beyond it bodies are read again. */
const MAX_KNOWN_CHAINS = 8_192;
/** Hops that are looked at again when their chain comes late: a reporter brings the body before the first event that names it. */
const MOST_LATE = 100;
const FORWARDED = OUTCOMES.indexOf('OUTCOME_FORWARDED');

export function createCrossCheck(database: DatabaseSync, findings: Findings): CrossCheck {
  const known = new Map<number, ChainFacts | null>();
  // A third one's word about either side is a finding of its own, and no side.
  const otherSide = database.prepare(
    `SELECT s.reporter, e.outcome, e.caller, e.callee, e.txn, e.subject_id, e.chain FROM events e JOIN sources s ON s.id = e.source_id
     WHERE e.hop_id = ? AND e.kind = 4 AND s.reporter = CASE e.side WHEN 1 THEN e.caller ELSE e.callee END AND s.reporter <> ? LIMIT 1`,
  );
  const naming = database.prepare(
    `SELECT s.reporter, e.entry, p.subject FROM events e JOIN sources s ON s.id = e.source_id LEFT JOIN subjects p ON p.id = e.subject_id
     WHERE e.chain = ? LIMIT ${MOST_LATE}`,
  );

  function remember(row: number, facts: ChainFacts | null): ChainFacts | null {
    if (known.size >= MAX_KNOWN_CHAINS) known.clear();
    known.set(row, facts);
    return facts;
  }

  function hold(hop: Hop, subject: string, reporter: string, facts: ChainFacts, nowUs: number): void {
    const differ = misfits(hop, subject, facts);
    if (differ.length > 0) findings.otherChain({ reporter, hopId: hop.hopId, differ, nowUs });
  }

  return {
    side({ hop, reporter, subject, chain }, bodyOf, nowUs) {
      const other = otherSide.get(hop.hopId, reporter);
      if (other !== undefined) {
        const own: SideFacts = { ...hop, forwarded: hop.outcome === 'OUTCOME_FORWARDED', subject, chain };
        const differ = disagreements(own, {
          forwarded: other.outcome === FORWARDED,
          caller: String(other.caller),
          callee: String(other.callee),
          txn: String(other.txn),
          subject: numberOrNull(other.subject_id),
          chain: numberOrNull(other.chain),
        });
        const reporters = [String(other.reporter), reporter] as const;
        if (differ.length > 0) findings.disagreement({ hopId: hop.hopId, reporters, differ, nowUs });
      }
      if (chain === null) return;
      let facts = known.get(chain);
      if (facts === undefined) {
        const body = bodyOf();
        if (body === null) return; // it comes later, and is held against this hop then
        facts = remember(chain, chainFactsOf(body));
      }
      if (facts !== null) hold(hop, hop.personal?.subject ?? '', reporter, facts, nowUs);
    },
    chain(row, body, nowUs) {
      const facts = remember(row, chainFactsOf(body));
      if (facts === null) return;
      for (const { reporter, entry, subject } of naming.all(row)) {
        const event = decodeEvent(decodeLogEntry(Buffer.from(entry as Uint8Array)).event);
        if (event.body === 'hop') hold(event.hop, String(subject ?? ''), String(reporter), facts, nowUs);
      }
    },
    reset: () => known.clear(),
  };
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
