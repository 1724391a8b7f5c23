/**
 * One-time join tokens: an operator makes one for one identity, the workload shows it once. Only its SHA-256 is stored, so that
 * a copy of the database lets nobody in; it is found by that hash, so that no comparison depends on the token's bytes, and
 * the rows compare in constant time besides.
 *
 * Single use: the first key that shows the token takes it, in one statement. The same key may ask again for a short while,
 * since the answer may have been lost; it proved possession, so it is the same workload.
 */
import { createHash, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { inTransaction } from '../store/database.ts';
import type { Attestation } from './attestation.ts';

export const DEFAULT_TOKEN_LIFE_S = 600;
export const MAX_TOKEN_LIFE_S = 86_400;
/** How long the key that used a token may ask again. */
const REPEAT_WINDOW_S = 120;
/** Unused and used tokens that are kept; the oldest ends first. */
const MAX_TOKENS = 10_000;
const TOKEN_BYTES = 32;
const MAX_TOKEN_LENGTH = 256;

/**
 * Makes a token of 256 random bits. It is shown here once.
 * @throws {BehalfError} `quota_exceeded` when too many wait
 */
export function createJoinToken(
  database: DatabaseSync,
  spiffeId: SpiffeId,
  lifeS: number,
  nowS: number,
): { token: string; expiresS: number } {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const expiresS = Math.floor(nowS) + lifeS;
  inTransaction(database, () => {
    database.prepare('DELETE FROM join_tokens WHERE expires_s < ?').run(Math.floor(nowS) - REPEAT_WINDOW_S);
    const waiting = Number(database.prepare('SELECT count(*) AS n FROM join_tokens').get()?.['n']);
    if (waiting >= MAX_TOKENS) throw new BehalfError('quota_exceeded', { what: 'join tokens', limit: MAX_TOKENS });
    database
      .prepare('INSERT INTO join_tokens (hash, spiffe_id, expires_s) VALUES (?, ?, ?)')
      .run(hashOf(token), spiffeId, expiresS);
  });
  return { token, expiresS };
}

/** Whether somebody made this token and it has not ended; says nothing to whoever does not have one. */
export function isKnownToken(database: DatabaseSync, token: string, nowS: number): boolean {
  if (token.length > MAX_TOKEN_LENGTH) return false;
  const query = database.prepare('SELECT 1 FROM join_tokens WHERE hash = ? AND expires_s > ? AND used_s IS NULL');
  return query.get(hashOf(token), Math.floor(nowS)) !== undefined;
}

/**
 * Takes a token for a key. Unknown, expired and used tokens are told apart in the log only.
 * @throws {BehalfError} `attestation_failed`
 */
export function redeemJoinToken(database: DatabaseSync, token: string, key: KeyObject, nowS: number): Attestation {
  if (token.length > MAX_TOKEN_LENGTH) throw failed('unknown');
  const hash = hashOf(token);
  const usedBy = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  // One statement decides the race. After it the token is spent, whether or not the answer arrives: the same key may repeat.
  database
    .prepare('UPDATE join_tokens SET used_s = ?, used_by = ? WHERE hash = ? AND used_s IS NULL AND expires_s > ?')
    .run(Math.floor(nowS), usedBy, hash, Math.floor(nowS));
  const row = database.prepare('SELECT hash, spiffe_id, used_s, used_by FROM join_tokens WHERE hash = ?').get(hash);
  if (row === undefined || !timingSafeEqual(hash, row['hash'] as Uint8Array)) throw failed('unknown');
  if (row['used_s'] === null) throw failed('expired');
  if (!timingSafeEqual(usedBy, row['used_by'] as Uint8Array)) throw failed('used');
  if (!(nowS <= Number(row['used_s']) + REPEAT_WINDOW_S)) throw failed('used');
  return {
    attestor: 'join_token',
    spiffeId: parseSpiffeId(row['spiffe_id']),
    // Names the token in the record without being of use to anyone.
    selectors: [`join_token:sha256:${hash.toString('hex').slice(0, 16)}`],
    entryId: null,
    ttlS: 0,
  };
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

function failed(why: string): BehalfError {
  return new BehalfError('attestation_failed', { attestor: 'join_token', why });
}
