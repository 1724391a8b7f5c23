/**
 * Revocations on their way into live state. What a change takes back is queued in the change's own transaction; then it is
 * handed to live state (signed, numbered, durable, relayed) and leaves the queue. If we stop between the two, the next start
 * hands it over; if we stop before it leaves the queue, it is stated twice, which says nothing new.
 */
import type { Revocation } from '../../delegation/revocation/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { Database } from '../store/database.ts';

/** Longest life of a root, of a stream that began under it, and some for clocks: then a revocation can hit nothing more. */
export const REMEMBERED_S = 300 + 24 * 3_600 + 60;

/** A revocation that live state has taken over. */
export interface Stated {
  readonly revocation: Revocation;
  readonly number: number;
  readonly by: string;
  readonly reason: string;
}

export interface Revocations {
  /** Queues inside the caller's transaction; gives the place in the queue. */
  queue(revocation: Revocation, by: string, reason: string): number;
  /** Resolves with the live-state number once durable and handed to the collector; 0 where that was done before. */
  handOver(due: number): Promise<number>;
  /** Hands over what an earlier run left; one that cannot be does not keep the others waiting. @throws the first that could not */
  handOverAll(): Promise<void>;
}

export interface RevocationDeps {
  readonly database: Database;
  readonly clock: Clock;
  /** Live state of this source: `state/openLiveStateSource().revoke`. */
  readonly revoke: (revocation: Revocation, forgetAtS: number) => Promise<{ number: number }>;
  /** What else ends with it here; in the same transaction. */
  readonly onQueued: (revocation: Revocation, by: string, reason: string) => void;
  /** Puts it on record. */
  readonly onStated: (stated: Stated) => Promise<void>;
}

/** Opens the queue. */
export function createRevocations({ database, clock, revoke, onQueued, onStated }: RevocationDeps): Revocations {
  const { sql } = database;
  const insert = sql.prepare('INSERT INTO revocation_due (revocation, forget_at_s, by, reason) VALUES (?, ?, ?, ?)');
  const select = sql.prepare('SELECT * FROM revocation_due WHERE id = ?');
  const selectAll = sql.prepare('SELECT id FROM revocation_due ORDER BY id');
  const remove = sql.prepare('DELETE FROM revocation_due WHERE id = ?');

  const underway = new Map<number, Promise<number>>();

  /** One at a time a place, so that a sweep beside a withdrawal does not state it twice. */
  function handOver(due: number): Promise<number> {
    const started = underway.get(due) ?? state(due).finally(() => underway.delete(due));
    underway.set(due, started);
    return started;
  }

  async function state(due: number): Promise<number> {
    const row = select.get(due);
    if (row === undefined) return 0;
    const revocation = JSON.parse(String(row['revocation'])) as Revocation;
    const { number } = await revoke(revocation, Number(row['forget_at_s']));
    remove.run(due);
    await onStated({ revocation, number, by: String(row['by']), reason: String(row['reason']) });
    return number;
  }

  return {
    queue: (revocation, by, reason) => {
      const forgetAtS = Math.ceil(clock()) + REMEMBERED_S;
      const place = Number(insert.run(JSON.stringify(revocation), forgetAtS, by, reason).lastInsertRowid);
      onQueued(revocation, by, reason);
      return place;
    },
    handOver,
    handOverAll: async () => {
      const failures: unknown[] = [];
      for (const row of selectAll.all()) {
        await handOver(Number(row['id'])).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}
