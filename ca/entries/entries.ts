/** Registration entries: which selectors, all of them, give which identity. */
import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import { isReservedPath, parseSpiffeId, type SpiffeId, type TrustDomain, trustDomainOf } from '../../identity/index.ts';
import type { Entry as EntryMessage } from '../../proto/behalf/ca/v1/ca.ts';
import { LIFE_BOUNDS } from '../config.ts';

/** An entry that was judged. */
export interface Entry extends Omit<EntryMessage, 'spiffeId'> {
  readonly spiffeId: SpiffeId;
}

const MAX_ENTRIES = 10_000;
const MAX_SELECTORS = 16;
const MAX_TEXT_LENGTH = 256;
/** What the Unix attestor sees. Selectors of another kind could never hold, which is refused rather than stored. */
const SELECTOR = /^unix:(?:uid:\d{1,10}|gid:\d{1,10}|user:[a-zA-Z0-9._-]{1,64}|sha256:[0-9a-f]{64})$/;

/**
 * Takes an operator's wish for an entry.
 * @throws {BehalfError} `spiffe_id_invalid`, `request_malformed`, `policy_denied` for a reserved path
 */
export function parseEntry(message: EntryMessage, trustDomain: TrustDomain, nowS: number): Entry {
  const spiffeId = parseSpiffeId(message.spiffeId);
  if (trustDomainOf(spiffeId) !== trustDomain) throw malformed('spiffe_id', 'is of another trust domain');
  if (isReservedPath(spiffeId))
    throw new BehalfError('policy_denied', { why: 'paths under /behalf/ are reserved', spiffeId });
  const selectors = [...new Set(message.selectors)].sort();
  if (selectors.length === 0 || selectors.length > MAX_SELECTORS)
    throw malformed('selectors', `1 to ${MAX_SELECTORS} are needed`);
  const unknown = selectors.find((selector) => !SELECTOR.test(selector));
  if (unknown !== undefined) throw malformed('selectors', `\`${unknown.slice(0, 80)}\` is none that an attestor gives`);
  // What the digest of a program is worth: `attest/unix-peer.ts`.
  if (!selectors.some((selector) => /^unix:(?:uid|gid|user):/.test(selector)))
    throw malformed('selectors', 'a digest alone is not enough, since any user may run a program');
  if (message.ttlS !== 0 && !(message.ttlS >= LIFE_BOUNDS.shortestS && message.ttlS <= LIFE_BOUNDS.maxS)) {
    throw malformed('ttl_s', `not 0 or ${LIFE_BOUNDS.shortestS} to ${LIFE_BOUNDS.maxS}`);
  }
  const { owner, reason, ttlS } = message;
  if (owner.length > MAX_TEXT_LENGTH || reason.length > MAX_TEXT_LENGTH) throw malformed('owner or reason', 'too long');
  return { id: randomUUID(), spiffeId, selectors, ttlS, owner, reason, createdS: Math.floor(nowS) };
}

/** @throws {BehalfError} `quota_exceeded` */
export function insertEntry(database: DatabaseSync, entry: Entry): void {
  const count = Number(database.prepare('SELECT count(*) AS n FROM entries').get()?.['n']);
  if (count >= MAX_ENTRIES)
    throw new BehalfError('quota_exceeded', { what: 'registration entries', limit: MAX_ENTRIES });
  database
    .prepare(
      'INSERT INTO entries (id, spiffe_id, selectors, ttl_s, owner, reason, created_s) VALUES (?, ?, ?, ?, ?, ?, ?)',
    )
    .run(
      entry.id,
      entry.spiffeId,
      JSON.stringify(entry.selectors),
      entry.ttlS,
      entry.owner,
      entry.reason,
      entry.createdS,
    );
}

/** All entries, oldest first. */
export function listEntries(database: DatabaseSync): Entry[] {
  return database
    .prepare('SELECT * FROM entries ORDER BY created_s, id')
    .all()
    .map((row) => ({
      id: String(row['id']),
      spiffeId: parseSpiffeId(row['spiffe_id']),
      selectors: JSON.parse(String(row['selectors'])) as string[],
      ttlS: Number(row['ttl_s']),
      owner: String(row['owner']),
      reason: String(row['reason']),
      createdS: Number(row['created_s']),
    }));
}

/** Life that an entry gives, in seconds, 0 for the default; null if there is no such entry. */
export function entryLifeS(database: DatabaseSync, id: string): number | null {
  const row = database.prepare('SELECT ttl_s FROM entries WHERE id = ?').get(id);
  return row === undefined ? null : Number(row['ttl_s']);
}

/** @throws {BehalfError} `not_found` */
export function deleteEntry(database: DatabaseSync, id: string): void {
  const { changes } = database.prepare('DELETE FROM entries WHERE id = ?').run(id);
  if (Number(changes) === 0) throw new BehalfError('not_found', { entry: id.slice(0, 80) });
}

/**
 * The entry whose selectors all hold; of several the one that asks for most. Two that ask for equally much would make the
 * identity a matter of chance, so that neither counts.
 * @throws {BehalfError} `entry_not_found`
 */
export function matchEntry(entries: readonly Entry[], selectors: readonly string[]): Entry {
  const fitting = entries
    .filter((entry) => entry.selectors.every((selector) => selectors.includes(selector)))
    .sort((one, other) => other.selectors.length - one.selectors.length);
  const [best, second] = fitting;
  if (best === undefined) throw new BehalfError('entry_not_found', { selectors });
  if (second !== undefined && second.selectors.length === best.selectors.length && second.spiffeId !== best.spiffeId) {
    throw new BehalfError('entry_not_found', { why: 'two entries fit equally', entries: [best.id, second.id] });
  }
  return best;
}

function malformed(member: string, why: string): BehalfError {
  return new BehalfError('request_malformed', { member, why });
}
