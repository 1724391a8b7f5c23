/**
 * Consent: who lets which client use which scopes, for what purpose and until when. A record with a history, never
 * overwritten without a change that says so. Taking something back also queues its revocation, in the same transaction.
 * What a change means for tokens is told to `OAuthStore`; telling the mesh is `revocations.ts`, the log `../events/`.
 */
import { randomBytes } from 'node:crypto';
import type { AuthorizationDetail } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { GrantDetails } from '../details/grant-details.ts';
import type { Database } from '../store/database.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import {
  type ConsentChange,
  type ConsentChangeKind,
  type HashedChange,
  hashOfChange,
  NO_PREVIOUS_HASH,
} from './history.ts';
import type { Revocations } from './revocations.ts';

export type ConsentState = 'active' | 'withdrawn' | 'expired';

export interface Consent {
  /** `c:` and 128 random bits, base64url. */
  readonly id: string;
  readonly version: number;
  readonly account: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly purpose: string;
  readonly fromS: number;
  readonly untilS: number;
  readonly state: ConsentState;
  /** Work that may be finished later without the user; null for none. */
  readonly deferrable: Deferrable | null;
}

/** How far work may be put off on a consent: the longest wait in seconds, and how often each piece of it may be taken up. */
export interface Deferrable {
  readonly maxS: number;
  readonly uses: number;
}

/** What a user agreed to on the page. */
export interface ConsentGiven {
  readonly account: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly purpose: string;
  readonly untilS: number;
  readonly shown: string;
  /** The OAuth grant that rests on it. */
  readonly grantId: string;
  /** What that grant allows in detail (RFC 9396). Of the grant alone: what earlier ones of the consent allow stays as it is. */
  readonly details: readonly AuthorizationDetail[];
  /** Who agreed, where that was not the user, and why. */
  readonly by?: string;
  readonly reason?: string;
  /** Absent for none. */
  readonly deferrable?: Deferrable | null;
}

/** A change that was made: what the consent is now, and the entry of its history. */
export interface Changed {
  readonly consent: Consent;
  readonly change: HashedChange;
  /** The queued revocation, where something was taken back. */
  readonly revocationDue: number | null;
}

export interface Consents {
  /**
   * Records what a user agreed to. The same user, client and purpose continue one consent: narrower where a scope is missing
   * now, else extended.
   */
  give(given: ConsentGiven): Changed;
  /** Takes scopes back; those not named in `keep` end. @throws {BehalfError} `not_found`, `consent_withdrawn`, `request_malformed` */
  narrow(id: string, keep: readonly string[], by: string): Changed;
  /** Ends a consent and every token that rests on it. @throws {BehalfError} `not_found`, `consent_withdrawn` where it has ended */
  withdraw(id: string, by: string, reason: string): Changed;
  /** Marks those past their end; nothing that rests on one outlives it anyway. Gives at most 100 at a time. */
  expireDue(): Changed[];
  get(id: string): Consent | null;
  ofGrant(grantId: string): Consent | null;
  /** The OAuth grants that rest on it, oldest first. */
  grantsOf(id: string): readonly string[];
  list(account: string | null): Consent[];
  history(id: string): HashedChange[];
  /** Changes that are not on record in the mesh's log yet, oldest first. */
  unreported(): HashedChange[];
  /** Says that a change is on record. */
  reported(change: HashedChange): void;
}

/** Consents given by one listing, and expired by one sweep. */
const MAX_LISTED = 10_000;
const MAX_EXPIRED_AT_A_TIME = 100;

export interface ConsentDeps {
  readonly database: Database;
  readonly oauth: OAuthStore;
  readonly revocations: Revocations;
  readonly details: GrantDetails;
  readonly clock: Clock;
}

/** Opens the consents of the database. */
export function createConsents({ database, oauth, revocations, details, clock }: ConsentDeps): Consents {
  const { sql, transaction } = database;
  const COLUMNS =
    'id, version, account, client_id, scopes, purpose, from_s, until_s, state, deferrable_s, deferrable_uses';
  const selectOne = sql.prepare(`SELECT ${COLUMNS} FROM consent WHERE id = ?`);
  const selectActive = sql.prepare(
    `SELECT ${COLUMNS} FROM consent WHERE account = ? AND client_id = ? AND purpose = ? AND state = 'active' AND until_s > ?`,
  );
  const selectOfGrant = sql.prepare('SELECT consent FROM consent_grant WHERE grant_id = ?');
  const selectGrants = sql.prepare('SELECT grant_id FROM consent_grant WHERE consent = ? ORDER BY rowid');
  const selectAll = sql.prepare(
    `SELECT ${COLUMNS} FROM consent WHERE ? IS NULL OR account = ? ORDER BY from_s DESC LIMIT ${MAX_LISTED}`,
  );
  const selectDue = sql.prepare(
    `SELECT ${COLUMNS} FROM consent WHERE state = 'active' AND until_s <= ? LIMIT ${MAX_EXPIRED_AT_A_TIME}`,
  );
  const selectHistory = sql.prepare('SELECT * FROM consent_change WHERE consent = ? ORDER BY version');
  const selectLastHash = sql.prepare('SELECT hash FROM consent_change WHERE consent = ? ORDER BY version DESC LIMIT 1');
  const upsert = sql.prepare(
    `INSERT INTO consent (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
     version = excluded.version, scopes = excluded.scopes, until_s = excluded.until_s, state = excluded.state,
     deferrable_s = excluded.deferrable_s, deferrable_uses = excluded.deferrable_uses`,
  );
  const insertChange = sql.prepare(
    `INSERT INTO consent_change (consent, version, change, at_s, scopes, until_s, by, reason, shown, previous_hash, hash,
     deferrable_s, deferrable_uses)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertEventDue = sql.prepare('INSERT INTO event_due (consent, version) VALUES (?, ?)');
  const selectEventsDue = sql.prepare('SELECT consent, version FROM event_due ORDER BY consent, version LIMIT 1000');
  const removeEventDue = sql.prepare('DELETE FROM event_due WHERE consent = ? AND version = ?');
  const insertGrant = sql.prepare('INSERT INTO consent_grant (grant_id, consent) VALUES (?, ?)');

  /** Writes a consent and the change that made it so. Inside a transaction only. */
  function write(consent: Consent, kind: ConsentChangeKind, by: string, reason: string, shown: string): HashedChange {
    const { id, version, account, clientId, scopes, purpose, fromS, untilS, state, deferrable } = consent;
    const change: ConsentChange = {
      consent: id,
      version,
      change: kind,
      atS: nowS(),
      scopes,
      untilS,
      by,
      reason,
      shown,
      deferrable,
    };
    const later = [deferrable?.maxS ?? null, deferrable?.uses ?? null];
    const last = selectLastHash.get(id)?.['hash'];
    const previousHash = last instanceof Uint8Array ? Buffer.from(last) : NO_PREVIOUS_HASH;
    const hash = hashOfChange(change, previousHash);
    upsert.run(id, version, account, clientId, scopes.join(' '), purpose, fromS, untilS, state, ...later);
    const words = [scopes.join(' '), untilS, by, reason, shown];
    insertChange.run(id, version, kind, change.atS, ...words, previousHash, hash, ...later);
    insertEventDue.run(id, version);
    return { ...change, previousHash, hash };
  }

  function active(id: string): Consent {
    const consent = get(id);
    if (consent === null) throw new BehalfError('not_found', { what: 'consent' });
    if (consent.state !== 'active') throw new BehalfError('consent_withdrawn', { state: consent.state });
    return consent;
  }

  const nowS = (): number => Math.floor(clock());
  const get = (id: string): Consent | null => parseRow(selectOne.get(id));
  const grantsOf = (id: string): string[] => selectGrants.all(id).map((row) => String(row['grant_id']));

  return {
    get,
    grantsOf,
    ofGrant: (grantId) => {
      const id = selectOfGrant.get(grantId)?.['consent'];
      return id === undefined ? null : get(String(id));
    },
    list: (account) => selectAll.all(account, account).flatMap((row) => parseRow(row) ?? []),
    history: (id) => selectHistory.all(id).map(parseChange),
    unreported: () =>
      selectEventsDue.all().flatMap((due) =>
        selectHistory
          .all(String(due['consent']))
          .map(parseChange)
          .filter(({ version }) => version === Number(due['version'])),
      ),
    reported: ({ consent, version }) => {
      removeEventDue.run(consent, version);
    },
    give: (given) =>
      transaction(() => {
        const {
          account,
          clientId,
          purpose,
          untilS,
          scopes,
          shown,
          grantId,
          by = 'user',
          reason = '',
          deferrable = null,
        } = given;
        const before = parseRow(selectActive.get(account, clientId, purpose, nowS()));
        const consent: Consent =
          before === null
            ? {
                id: newId(),
                version: 1,
                account,
                clientId,
                scopes,
                purpose,
                fromS: nowS(),
                untilS,
                state: 'active',
                deferrable,
              }
            : { ...before, version: before.version + 1, scopes, untilS, deferrable };
        const narrower =
          before !== null &&
          (untilS < before.untilS ||
            before.scopes.some((scope) => !scopes.includes(scope)) ||
            isLess(deferrable, before.deferrable));
        const kind = before === null ? 'granted' : narrower ? 'narrowed' : 'extended';
        const change = write(consent, kind, by, reason, shown);
        for (const grant of narrower ? grantsOf(consent.id) : []) oauth.narrowGrant(grant, scopes);
        insertGrant.run(grantId, consent.id);
        details.add(grantId, given.details);
        return { consent, change, revocationDue: narrower ? revokeOlder(consent) : null };
      }),
    narrow: (id, keep, by) =>
      transaction(() => {
        const before = active(id);
        const scopes = before.scopes.filter((scope) => keep.includes(scope));
        if (scopes.length === 0 || scopes.length === before.scopes.length) {
          throw new BehalfError('request_malformed', { why: 'keep some of the scopes, not all and not none' });
        }
        const consent = { ...before, version: before.version + 1, scopes };
        const change = write(consent, 'narrowed', by, '', '');
        for (const grant of grantsOf(id)) oauth.narrowGrant(grant, scopes);
        return { consent, change, revocationDue: revokeOlder(consent) };
      }),
    withdraw: (id, by, reason) =>
      transaction(() => {
        const before = active(id);
        const consent: Consent = { ...before, version: before.version + 1, state: 'withdrawn' };
        const change = write(consent, 'withdrawn', by, reason, '');
        for (const grant of grantsOf(id)) oauth.endGrant(grant);
        const revocation = { kind: 'consent', value: id, before: nowS() } as const;
        return { consent, change, revocationDue: revocations.queue(revocation, by, reason) };
      }),
    expireDue: () =>
      transaction(() =>
        selectDue.all(nowS()).flatMap((row): Changed[] => {
          const before = parseRow(row);
          if (before === null) return [];
          const consent: Consent = { ...before, version: before.version + 1, state: 'expired' };
          const change = write(consent, 'expired', 'authority', '', '');
          for (const grant of grantsOf(before.id)) oauth.endGrant(grant);
          return [{ consent, change, revocationDue: null }];
        }),
      ),
  };

  /** Roots minted under an older version end; those of this version live (WIRE.md section 3). */
  function revokeOlder({ id, version }: Consent): number {
    return revocations.queue({ kind: 'consent', value: id, before: nowS(), version }, 'user', 'narrowed');
  }
}

function isLess(now: Deferrable | null, before: Deferrable | null): boolean {
  if (before === null) return false;
  return now === null || now.maxS < before.maxS || now.uses < before.uses;
}

function parseDeferrable(row: Row): Deferrable | null {
  const [maxS, uses] = [row['deferrable_s'], row['deferrable_uses']];
  return maxS === null || maxS === undefined ? null : { maxS: Number(maxS), uses: Number(uses) };
}

function newId(): string {
  return `c:${randomBytes(16).toString('base64url')}`;
}

type Row = Record<string, unknown>;

function parseRow(row: Row | undefined): Consent | null {
  if (row === undefined) return null;
  return {
    id: String(row['id']),
    version: Number(row['version']),
    account: String(row['account']),
    clientId: String(row['client_id']),
    scopes: listOf(row['scopes']),
    purpose: String(row['purpose']),
    fromS: Number(row['from_s']),
    untilS: Number(row['until_s']),
    state: String(row['state']) as ConsentState,
    deferrable: parseDeferrable(row),
  };
}

function parseChange(row: Row): HashedChange {
  return {
    consent: String(row['consent']),
    version: Number(row['version']),
    change: String(row['change']) as ConsentChangeKind,
    atS: Number(row['at_s']),
    scopes: listOf(row['scopes']),
    untilS: Number(row['until_s']),
    by: String(row['by']),
    reason: String(row['reason']),
    shown: String(row['shown']),
    deferrable: parseDeferrable(row),
    previousHash: Buffer.from(row['previous_hash'] as Uint8Array),
    hash: Buffer.from(row['hash'] as Uint8Array),
  };
}

function listOf(scopes: unknown): string[] {
  return String(scopes).split(' ').filter(Boolean);
}
