/**
 * The authority's one database (`node:sqlite`): accounts, pseudonyms, consents with their history, browser sessions and what
 * `oidc-provider` keeps. Trusted for: who consented to what. Whoever can write it can invent a consent; they cannot change
 * a past one unseen, since each change's hash is in the mesh's log. Full sync, so that what was answered is on disk.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';

/** What each version of the schema brings over the one before. */
const SCHEMAS = [
  `
CREATE TABLE account (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
-- One pseudonym a user and audience (WIRE.md section 1): the mesh, or one outside client.
CREATE TABLE pseudonym (
  account TEXT NOT NULL REFERENCES account (id),
  audience TEXT NOT NULL,
  value TEXT NOT NULL UNIQUE,
  PRIMARY KEY (account, audience)
) STRICT;
CREATE TABLE browser_session (
  id_hash BLOB PRIMARY KEY,
  account TEXT NOT NULL REFERENCES account (id),
  expires_s INTEGER NOT NULL
) STRICT;
CREATE TABLE consent (
  id TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  account TEXT NOT NULL REFERENCES account (id),
  client_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  purpose TEXT NOT NULL,
  from_s INTEGER NOT NULL,
  until_s INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'withdrawn', 'expired'))
) STRICT;
CREATE INDEX consent_by_account ON consent (account, client_id);
CREATE INDEX consent_by_end ON consent (state, until_s);
CREATE TABLE consent_grant (
  grant_id TEXT PRIMARY KEY,
  consent TEXT NOT NULL REFERENCES consent (id)
) STRICT;
CREATE INDEX consent_grant_by_consent ON consent_grant (consent);
CREATE TABLE consent_change (
  consent TEXT NOT NULL REFERENCES consent (id),
  version INTEGER NOT NULL,
  change TEXT NOT NULL CHECK (change IN ('granted', 'narrowed', 'extended', 'withdrawn', 'expired')),
  at_s INTEGER NOT NULL,
  scopes TEXT NOT NULL,
  until_s INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  shown TEXT NOT NULL,
  previous_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (consent, version)
) STRICT;
CREATE TRIGGER consent_change_is_never_changed BEFORE UPDATE ON consent_change
  BEGIN SELECT RAISE(ABORT, 'the history of a consent is append-only'); END;
CREATE TRIGGER consent_change_is_never_removed BEFORE DELETE ON consent_change
  BEGIN SELECT RAISE(ABORT, 'the history of a consent is append-only'); END;
-- Revocations that were decided in the transaction that needs them, until live state has taken them over.
CREATE TABLE revocation_due (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  revocation TEXT NOT NULL,
  forget_at_s INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
-- Changes of consents that are not on record in the mesh's log yet.
CREATE TABLE event_due (
  consent TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (consent, version)
) STRICT;
CREATE TABLE oauth (
  model TEXT NOT NULL,
  id TEXT NOT NULL,
  payload TEXT NOT NULL,
  grant_id TEXT,
  uid TEXT,
  expires_s INTEGER,
  PRIMARY KEY (model, id)
) STRICT;
CREATE INDEX oauth_by_grant ON oauth (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX oauth_by_uid ON oauth (model, uid) WHERE uid IS NOT NULL;
CREATE INDEX oauth_by_end ON oauth (expires_s) WHERE expires_s IS NOT NULL;
`,
  `
-- Users (by pseudonym in the mesh) and clients that get no authority until an operator lifts it.
CREATE TABLE ban (
  kind TEXT NOT NULL CHECK (kind IN ('sub', 'client')),
  value TEXT NOT NULL,
  since_s INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (kind, value)
) STRICT;
`,
  `
-- In place of the table pseudonym, which held them in the clear and is empty from now on (sign-in/pseudonyms.ts).
CREATE TABLE user_key (
  account TEXT PRIMARY KEY REFERENCES account (id),
  sealed BLOB NOT NULL
) STRICT;
CREATE TABLE sealed_pseudonym (
  account TEXT NOT NULL REFERENCES account (id),
  audience TEXT NOT NULL,
  handle BLOB NOT NULL UNIQUE,
  sealed BLOB NOT NULL,
  PRIMARY KEY (account, audience)
) STRICT;
`,
  `
-- What a grant allows in detail (RFC 9396); spent: how much of the entry went out in roots, as a whole number in digits.
CREATE TABLE grant_detail (
  grant_id TEXT NOT NULL REFERENCES consent_grant (grant_id),
  place INTEGER NOT NULL,
  entry TEXT NOT NULL,
  spent TEXT NOT NULL,
  PRIMARY KEY (grant_id, place)
) STRICT;
`,
  `
-- How far work may be put off (deferred/): both null where a consent lets none.
ALTER TABLE consent ADD COLUMN deferrable_s INTEGER;
ALTER TABLE consent ADD COLUMN deferrable_uses INTEGER;
ALTER TABLE consent_change ADD COLUMN deferrable_s INTEGER;
ALTER TABLE consent_change ADD COLUMN deferrable_uses INTEGER;
-- Work that outlives its request (WIRE.md section 6). Who the user is stands here as the account alone.
CREATE TABLE deferred (
  id TEXT PRIMARY KEY,
  reference_hash BLOB NOT NULL UNIQUE,
  holder TEXT NOT NULL,
  account TEXT NOT NULL REFERENCES account (id),
  consent TEXT NOT NULL REFERENCES consent (id),
  client_id TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  txn TEXT NOT NULL,
  -- What was left of the old chain, and what a revocation can hit in it: JSON.
  chain TEXT NOT NULL,
  purpose TEXT NOT NULL,
  made_s INTEGER NOT NULL,
  until_s INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
  -- When the last root was made of it; 0 before the first.
  used_s INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('standing', 'used', 'cancelled', 'revoked', 'expired')),
  ended_by TEXT NOT NULL,
  ended_why TEXT NOT NULL,
  -- Whether its end is on record in the mesh's log.
  told INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX deferred_untold ON deferred (told) WHERE told = 0;
CREATE INDEX deferred_by_holder ON deferred (holder, state);
CREATE INDEX deferred_by_account ON deferred (account, state);
CREATE INDEX deferred_by_end ON deferred (state, until_s);
-- Through which entry of the CA's live state every standing grant has been judged.
CREATE TABLE deferred_judged (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  ca_entry INTEGER NOT NULL
) STRICT;
INSERT INTO deferred_judged (one, ca_entry) VALUES (1, 0);
`,
  `
-- What a revocation looks deferred grants up by.
CREATE INDEX deferred_by_consent ON deferred (consent, state);
CREATE INDEX deferred_by_client ON deferred (client_id);
CREATE INDEX deferred_by_grant ON deferred (grant_id);
CREATE INDEX deferred_by_txn ON deferred (txn);
`,
];
const SCHEMA_VERSION = SCHEMAS.length;

/** The open database and the one way to change several tables at once. */
export interface Database {
  readonly sql: DatabaseSync;
  /** Runs `work` in one immediate transaction: all of it is on disk when this returns, or none of it. Not for nesting. */
  transaction<T>(work: () => T): T;
  close(): void;
}

/**
 * Opens `<dataDir>/authority.sqlite`, made with its tables if it is not there.
 * @throws {BehalfError} `data_directory_unusable`
 */
export function openDatabase(dataDir: string): Database {
  const file = join(dataDir, 'authority.sqlite');
  let sql: DatabaseSync;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    sql = new DatabaseSync(file);
    chmodSync(file, 0o600);
    sql.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA busy_timeout = 2000',
    );
  } catch (cause) {
    throw new BehalfError('data_directory_unusable', { file }, { cause });
  }
  const transaction = <T>(work: () => T): T => {
    sql.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      sql.exec('COMMIT');
      return result;
    } catch (error) {
      sql.exec('ROLLBACK');
      throw error;
    }
  };
  const version = Number(sql.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > SCHEMA_VERSION) {
    sql.close();
    throw new BehalfError('data_directory_unusable', { file, why: `written by a newer version (schema ${version})` });
  }
  if (version < SCHEMA_VERSION) {
    transaction(() => sql.exec(`${SCHEMAS.slice(version).join(';')}; PRAGMA user_version = ${SCHEMA_VERSION}`));
  }
  return { sql, transaction, close: () => sql.close() };
}
