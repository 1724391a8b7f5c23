/**
 * The authority's one SQLite file. Write-ahead log with full sync: what is committed survives a power cut. One process holds
 * it at a time, since two would give two bundles the same sequence number.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';

export const DATABASE_FILE = 'ca.sqlite';
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE sealed_keys (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE certificates (name TEXT NOT NULL, position INTEGER NOT NULL, der BLOB NOT NULL, PRIMARY KEY (name, position)) STRICT;
CREATE TABLE document (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL) STRICT;
CREATE TABLE entries (
  id TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, selectors TEXT NOT NULL, ttl_s INTEGER NOT NULL,
  owner TEXT NOT NULL, reason TEXT NOT NULL, created_s INTEGER NOT NULL
) STRICT;
CREATE TABLE join_tokens (
  hash BLOB PRIMARY KEY, spiffe_id TEXT NOT NULL, expires_s INTEGER NOT NULL, used_s INTEGER, used_by BLOB
) STRICT;
CREATE TABLE issued (
  serial TEXT PRIMARY KEY, spiffe_id TEXT NOT NULL, entry_id TEXT, certificate_s256 TEXT NOT NULL, wit_jti TEXT NOT NULL,
  issued_s INTEGER NOT NULL, not_after_s INTEGER NOT NULL
) STRICT;
CREATE INDEX issued_by_id ON issued (spiffe_id, not_after_s);
CREATE INDEX issued_by_certificate ON issued (certificate_s256);
CREATE INDEX issued_by_wit ON issued (wit_jti);
CREATE INDEX issued_by_end ON issued (not_after_s);
CREATE TABLE revocations (
  kind TEXT NOT NULL, value TEXT NOT NULL, before_s INTEGER NOT NULL, forget_at_s INTEGER NOT NULL, PRIMARY KEY (kind, value)
) STRICT;
`;

/**
 * Opens or makes the database in a directory.
 * @throws {BehalfError} `data_directory_unusable` if it cannot be opened, is of a newer version, or another process has it
 */
export function openDatabase(dataDir: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(join(dataDir, DATABASE_FILE));
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;',
    );
    inTransaction(database, migrate);
    return database;
  } catch (cause) {
    database?.close();
    const why =
      cause instanceof Error && /locked|busy/i.test(cause.message)
        ? 'another process uses it'
        : 'its database cannot be opened';
    throw new BehalfError('data_directory_unusable', { directory: dataDir, why }, { cause });
  }
}

/** Runs `work` in one write transaction: all of it holds after a crash, or nothing. */
export function inTransaction<T>(database: DatabaseSync, work: (database: DatabaseSync) => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work(database);
    database.exec('COMMIT');
    return result;
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function migrate(database: DatabaseSync): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version > SCHEMA_VERSION)
    throw new RangeError(`the database has version ${version}, this program knows ${SCHEMA_VERSION}`);
  if (version === SCHEMA_VERSION) return;
  database.exec(SCHEMA);
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}
