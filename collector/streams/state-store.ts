/**
 * Snapshots and live state as received, in a SQLite file of its own. Trusted for: keeping what was acknowledged. Not trusted
 * for content: receivers verify every signature, and signed heartbeats show them what is missing.
 */
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import type { SignedStatement } from '../../identity/index.ts';
import type { LiveStateSource } from '../../state/index.ts';

/** Past snapshots that are kept, for judging again what was decided under them. */
const MAX_SNAPSHOTS = 256;

export interface StoredStatement {
  readonly number: number;
  readonly statement: SignedStatement;
}

export interface StateStore {
  /** Durable when it returns. */
  addEntry(source: LiveStateSource, entry: StoredStatement): void;
  /** All kept entries of a source in order, for the relay to begin with. */
  entries(source: LiveStateSource): StoredStatement[];
  /** Drops the entries below a number. */
  dropBefore(source: LiveStateSource, number: number): void;
  /** Highest number ever stored of a source, kept or not. */
  storedThrough(source: LiveStateSource): number;
  /** Durable when it returns. `putBy` is the operator. */
  addSnapshot(snapshot: StoredStatement, putBy: string, nowS: number): void;
  newestSnapshot(): StoredStatement | null;
  snapshotAt(number: number): StoredStatement | null;
  close(): void;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS entry (
    source TEXT NOT NULL, number INTEGER NOT NULL, payload BLOB NOT NULL, kid TEXT NOT NULL, signature BLOB NOT NULL,
    PRIMARY KEY (source, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS stored_through (source TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS snapshot (
    number INTEGER PRIMARY KEY, payload BLOB NOT NULL, kid TEXT NOT NULL, signature BLOB NOT NULL,
    put_by TEXT NOT NULL, put_at REAL NOT NULL
  ) STRICT;
`;

/** Opens or makes the store (`:memory:` for tests). */
export function openStateStore(file: string): StateStore {
  const db = new DatabaseSync(file);
  db.exec(SCHEMA);
  const insertEntry = db.prepare('INSERT INTO entry (source, number, payload, kid, signature) VALUES (?, ?, ?, ?, ?)');
  const advance = db.prepare(
    'INSERT INTO stored_through (source, number) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET number = excluded.number',
  );
  const entries = db.prepare('SELECT number, payload, kid, signature FROM entry WHERE source = ? ORDER BY number');
  const drop = db.prepare('DELETE FROM entry WHERE source = ? AND number < ?');
  const through = db.prepare('SELECT number FROM stored_through WHERE source = ?');
  const insertSnapshot = db.prepare(
    'INSERT INTO snapshot (number, payload, kid, signature, put_by, put_at) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const dropSnapshots = db.prepare(
    'DELETE FROM snapshot WHERE number NOT IN (SELECT number FROM snapshot ORDER BY number DESC LIMIT ?)',
  );
  const newest = db.prepare('SELECT number, payload, kid, signature FROM snapshot ORDER BY number DESC LIMIT 1');
  const at = db.prepare('SELECT number, payload, kid, signature FROM snapshot WHERE number = ?');

  return {
    addEntry: (source, { number, statement }) =>
      transaction(db, () => {
        insertEntry.run(source, number, statement.payload, statement.kid, statement.signature);
        advance.run(source, number);
      }),
    entries: (source) => entries.all(source).map(statementOf),
    dropBefore: (source, number) => void drop.run(source, number),
    storedThrough: (source) => Number(through.get(source)?.['number'] ?? 0),
    addSnapshot: ({ number, statement }, putBy, nowS) =>
      transaction(db, () => {
        insertSnapshot.run(number, statement.payload, statement.kid, statement.signature, putBy, nowS);
        dropSnapshots.run(MAX_SNAPSHOTS);
      }),
    newestSnapshot: () => optional(newest.get()),
    snapshotAt: (number) => optional(at.get(number)),
    close: () => db.close(),
  };
}

function optional(row: Record<string, SQLOutputValue> | undefined): StoredStatement | null {
  return row === undefined ? null : statementOf(row);
}

function statementOf(row: Record<string, SQLOutputValue>): StoredStatement {
  return {
    number: Number(row['number']),
    statement: {
      payload: Buffer.from(row['payload'] as Uint8Array),
      kid: String(row['kid']),
      signature: Buffer.from(row['signature'] as Uint8Array),
    },
  };
}

function transaction(db: DatabaseSync, run: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    run();
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
