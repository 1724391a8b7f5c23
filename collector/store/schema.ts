/**
 * The record's database: every event as the log has it, what is a person's under that person's key, and what queries and
 * matching need. SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a loss of power.
 *
 * Trusted for: confidentiality of what is personal (keys lie beside what they seal, so that erasing a key erases the person, and
 * who reads this file reads all). Not trusted for integrity: `check-record.ts` and the log's checkpoint show any change.
 */
import { chmodSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';

const VERSION = 1;

const SCHEMA = `
CREATE TABLE sources (
  id INTEGER PRIMARY KEY,
  reporter TEXT NOT NULL,
  epoch BLOB NOT NULL,
  last_seq INTEGER NOT NULL,
  -- Numbers below last_seq that never came.
  missing INTEGER NOT NULL DEFAULT 0,
  UNIQUE (reporter, epoch)
) STRICT;

-- Erasing a person is deleting the row: what its key sealed cannot be read any more.
CREATE TABLE subjects (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL UNIQUE,
  key BLOB NOT NULL
) STRICT;

CREATE TABLE chains (
  id INTEGER PRIMARY KEY,
  chain_id BLOB NOT NULL UNIQUE,
  subject_id INTEGER NOT NULL,
  -- Null until a reporter has brought it.
  body BLOB
) STRICT;

CREATE TABLE events (
  -- Index of the leaf in the log.
  idx INTEGER PRIMARY KEY,
  source_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  -- Number of the event's body in audit.proto.
  kind INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  -- The encoded LogEntry.
  entry BLOB NOT NULL,
  -- Chain id and Personal, sealed under the subject's key.
  secret BLOB,
  subject_id INTEGER,
  chain INTEGER,
  hop_id BLOB,
  request_id BLOB,
  side INTEGER,
  outcome INTEGER,
  caller TEXT,
  callee TEXT,
  code TEXT,
  txn TEXT,
  UNIQUE (source_id, seq)
) STRICT;
CREATE INDEX events_hop ON events (hop_id) WHERE hop_id IS NOT NULL;
CREATE INDEX events_request ON events (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX events_subject ON events (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX events_chain ON events (chain) WHERE chain IS NOT NULL;
CREATE INDEX events_other ON events (kind, idx) WHERE kind > 5;

-- One row a hop id: which sides reported (1 caller, 2 callee, 4 entry), and which are due.
CREATE TABLE calls (
  hop_id BLOB PRIMARY KEY,
  sides INTEGER NOT NULL,
  due INTEGER NOT NULL,
  denied INTEGER NOT NULL,
  -- When the first side came in, by the collector's clock.
  first_us INTEGER NOT NULL,
  -- 0 no finding, 1 open finding, 2 resolved.
  finding INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_waiting ON calls (first_us) WHERE due & ~sides <> 0;
CREATE INDEX calls_found ON calls (finding) WHERE finding = 1;

CREATE TABLE findings (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  found_us INTEGER NOT NULL,
  resolved_us INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL,
  UNIQUE (kind, key)
) STRICT;
`;

/** Came after the first records were made; nothing else changed with it. */
const LATER_TABLES = `
-- How much a link hands on of the spendable details of its parent, both by the hash of their signing input.
CREATE TABLE IF NOT EXISTS detail_shares (
  parent TEXT NOT NULL,
  link TEXT NOT NULL,
  -- JSON: [unit, amount as whole number, places of the parent's entries that it may be of] each.
  parts TEXT NOT NULL,
  noted_us INTEGER NOT NULL,
  PRIMARY KEY (parent, link)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS detail_shares_by_time ON detail_shares (noted_us);
`;

/**
 * Opens the record for writing, making it if there is none.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function openRecord(file: string): DatabaseSync {
  try {
    const database = new DatabaseSync(file, { timeout: 5_000 });
    chmodSync(file, 0o600);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
    const version = database.prepare('PRAGMA user_version').get()?.user_version;
    if (version === 0) database.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${VERSION}; COMMIT`);
    else if (version !== VERSION) throw new Error(`the record has version ${version}, this program reads ${VERSION}`);
    database.exec(LATER_TABLES);
    return database;
  } catch (cause) {
    throw new BehalfError(
      'data_directory_unusable',
      { file, why: cause instanceof Error ? cause.message : 'cannot be opened' },
      { cause },
    );
  }
}

/**
 * Opens the record to read it, beside the process that writes.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function openRecordToRead(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  } catch (cause) {
    throw new BehalfError('data_directory_unusable', { file, why: 'cannot be opened' }, { cause });
  }
}
