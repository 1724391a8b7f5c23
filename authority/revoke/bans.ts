/**
 * Users and clients that get no authority at all until an operator lifts it. A ban is no revocation: those end what there is, and a
 * clean replacement lives; a ban keeps the authority from making a replacement.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { Database } from '../store/database.ts';

export type BannedKind = 'sub' | 'client';

export interface Ban {
  readonly kind: BannedKind;
  /** Pseudonym in the mesh, or client id. */
  readonly value: string;
  readonly sinceS: number;
  readonly by: string;
  readonly reason: string;
}

export interface Bans {
  /** Inside a transaction of the caller or alone. One that stands already stays as it is. */
  put(ban: Omit<Ban, 'sinceS'>): void;
  has(kind: BannedKind, value: string): boolean;
  /** @throws {BehalfError} `not_found` */
  lift(kind: BannedKind, value: string): void;
  list(): Ban[];
}

const MAX_LISTED = 10_000;

/** Opens the bans of the database. */
export function createBans({ sql }: Database, clock: Clock): Bans {
  const insert = sql.prepare(
    'INSERT INTO ban (kind, value, since_s, by, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const select = sql.prepare('SELECT 1 FROM ban WHERE kind = ? AND value = ?');
  const remove = sql.prepare('DELETE FROM ban WHERE kind = ? AND value = ?');
  const selectAll = sql.prepare(`SELECT * FROM ban ORDER BY since_s, kind, value LIMIT ${MAX_LISTED}`);
  return {
    put: ({ kind, value, by, reason }) => {
      insert.run(kind, value, Math.floor(clock()), by, reason);
    },
    has: (kind, value) => select.get(kind, value) !== undefined,
    lift: (kind, value) => {
      if (remove.run(kind, value).changes === 0) throw new BehalfError('not_found', { what: 'ban', kind });
    },
    list: () =>
      selectAll.all().map((row) => ({
        kind: String(row['kind']) as BannedKind,
        value: String(row['value']),
        sinceS: Number(row['since_s']),
        by: String(row['by']),
        reason: String(row['reason']),
      })),
  };
}
