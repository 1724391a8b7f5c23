/**
 * A source's own entries on disk (SQLite): numbered without gap, signed once, kept until nothing that they hit can verify.
 * Trusted for: that a withdrawal which was answered is never lost. Entries leave from the front only, so that `kept_from`
 * and the newest number tell a receiver exactly which it must have.
 */
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import type { SignedStatement, StatementKey } from '../../identity/index.ts';
import type { LiveStateSource, Revocation } from '../live-state.ts';
import { signEntry, signHeartbeat } from '../parse-live-state.ts';

/** Kept for this long past their time, in seconds: a receiver's clock may be behind. */
export const FORGET_MARGIN_S = 120;
/** After a jump over lost numbers nothing is forgotten for this long, in seconds: their ends are not known. */
const HOLD_AFTER_JUMP_S = 86_400;

export interface NumberedStatement {
  readonly number: number;
  readonly statement: SignedStatement;
}

export interface Outbox {
  /** Stores a signed entry; durable when it returns. Gives its number. */
  append(revocation: Revocation, forgetAtS: number, nowS: number): number;
  /** Entries after a number, in order, at most `limit`. */
  after(number: number, limit: number): readonly NumberedStatement[];
  newest(): number;
  /** A signed heartbeat for now. */
  heartbeat(nowS: number): SignedStatement;
  /** Lets go of what can hit nothing any more. */
  forget(nowS: number): void;
  /** The collector has more than we do (our file was restored from an older copy): go on after its number. */
  continueAfter(number: number, nowS: number): void;
  close(): void;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY, payload BLOB NOT NULL, kid TEXT NOT NULL, signature BLOB NOT NULL, forget_at REAL NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS position (
    one INTEGER PRIMARY KEY CHECK (one = 1), newest INTEGER NOT NULL, kept_from INTEGER NOT NULL, hold_until REAL NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO position (one, newest, kept_from, hold_until) VALUES (1, 0, 1, 0);
`;

/** Opens or makes the outbox in a SQLite file (`:memory:` for tests). */
export function openOutbox(file: string, source: LiveStateSource, key: StatementKey): Outbox {
  const db = new DatabaseSync(file);
  db.exec(SCHEMA);
  const insert = db.prepare('INSERT INTO entry (number, payload, kid, signature, forget_at) VALUES (?, ?, ?, ?, ?)');
  const advance = db.prepare('UPDATE position SET newest = ?');
  const select = db.prepare(
    'SELECT number, payload, kid, signature FROM entry WHERE number > ? ORDER BY number LIMIT ?',
  );
  const position = db.prepare('SELECT newest, kept_from, hold_until FROM position');
  const firstKept = db.prepare('SELECT min(number) AS number FROM entry WHERE forget_at > ?');
  const drop = db.prepare('DELETE FROM entry WHERE number < ?');
  const keepFrom = db.prepare('UPDATE position SET kept_from = ?');
  const jump = db.prepare('UPDATE position SET newest = ?, hold_until = ?');

  const read = (): { newest: number; keptFrom: number; holdUntilS: number } => {
    const row = position.get();
    return {
      newest: Number(row?.['newest']),
      keptFrom: Number(row?.['kept_from']),
      holdUntilS: Number(row?.['hold_until']),
    };
  };

  return {
    append(revocation, forgetAtS, nowS) {
      // One transaction: a crash leaves either no entry and the old number, or both; a number is never used twice.
      return transaction(db, () => {
        const number = read().newest + 1;
        const { payload, kid, signature } = signEntry(
          { source, number, at: nowS, revocation, forget_at: forgetAtS },
          key,
        );
        insert.run(number, payload, kid, signature, forgetAtS);
        advance.run(number);
        return number;
      });
    },
    after: (number, limit) => select.all(number, limit).map(statementOf),
    newest: () => read().newest,
    heartbeat(nowS) {
      const { newest, keptFrom } = read();
      return signHeartbeat({ source, number: newest, kept_from: keptFrom, at: nowS }, key);
    },
    forget(nowS) {
      const { newest, keptFrom, holdUntilS } = read();
      if (nowS < holdUntilS) return;
      const first = firstKept.get(nowS - FORGET_MARGIN_S)?.['number'];
      const from = typeof first === 'number' ? first : newest + 1;
      if (from <= keptFrom) return;
      transaction(db, () => {
        drop.run(from);
        keepFrom.run(from);
      });
    },
    continueAfter: (number, nowS) => {
      if (number > read().newest) jump.run(number, nowS + HOLD_AFTER_JUMP_S);
    },
    close: () => db.close(),
  };
}

function statementOf(row: Record<string, SQLOutputValue>): NumberedStatement {
  return {
    number: Number(row['number']),
    statement: {
      payload: Buffer.from(row['payload'] as Uint8Array),
      kid: String(row['kid']),
      signature: Buffer.from(row['signature'] as Uint8Array),
    },
  };
}

function transaction<T>(db: DatabaseSync, run: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = run();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
