/**
 * Who is signed in at this browser, for the pages of our own (`oidc-provider` keeps its own session for its flows). The
 * cookie holds 256 random bits; the table holds their SHA-256.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Clock } from '../../identity/index.ts';
import type { Database } from '../store/database.ts';
import type { AccountId } from './accounts.ts';

/** A sign-in ends after this long, used or not. */
export const BROWSER_SESSION_S = 8 * 3_600;

export interface BrowserSessions {
  /** Starts a session and gives the cookie's value. */
  start(account: AccountId): string;
  /** The account signed in under this cookie, or null. */
  find(cookie: string): AccountId | null;
  end(cookie: string): void;
  sweep(): void;
}

/** Makes the store of sessions. */
export function createBrowserSessions(database: Database, clock: Clock): BrowserSessions {
  const { sql } = database;
  const insert = sql.prepare('INSERT INTO browser_session (id_hash, account, expires_s) VALUES (?, ?, ?)');
  const select = sql.prepare('SELECT account FROM browser_session WHERE id_hash = ? AND expires_s > ?');
  const remove = sql.prepare('DELETE FROM browser_session WHERE id_hash = ?');
  const removeExpired = sql.prepare('DELETE FROM browser_session WHERE expires_s <= ?');
  return {
    start: (account) => {
      const cookie = randomBytes(32).toString('base64url');
      insert.run(hash('sha256', cookie, 'buffer'), account, Math.floor(clock()) + BROWSER_SESSION_S);
      return cookie;
    },
    find: (cookie) =>
      (select.get(hash('sha256', cookie, 'buffer'), Math.floor(clock()))?.['account'] as AccountId | undefined) ?? null,
    end: (cookie) => {
      remove.run(hash('sha256', cookie, 'buffer'));
    },
    sweep: () => {
      removeExpired.run(Math.floor(clock()));
    },
  };
}
