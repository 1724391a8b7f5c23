/**
 * Taking back by an operator: what the mesh is told (live state), and all here from which the same authority could be obtained
 * again a moment later. Both are decided in one transaction; then the mesh is told; then the operator is answered. If we stop
 * between, the next start tells the mesh.
 *
 * What ends with what: a consent is withdrawn with its tokens. A user loses every session and token, not what they consented to. A
 * client loses every token that any user gave it. A grant loses its tokens. A root key is replaced by a new one. A transaction,
 * or the reference of deferred work, ends alone.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { ConsentChanges } from '../consent/consent-changes.ts';
import type { Consents } from '../consent/consents.ts';
import type { Revocations } from '../consent/revocations.ts';
import { REMEMBERED_S } from '../consent/revocations.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { Database } from '../store/database.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import { accountName, clientName } from '../upstream/taken-back.ts';
import type { Bans } from './bans.ts';

/** Kinds that the authority may state (`delegation/revocation/`). */
export type AuthorityKind = 'txn' | 'sub' | 'client' | 'consent' | 'grant' | 'deferred' | 'kid';

export interface TakeBackOrder {
  readonly kind: AuthorityKind;
  readonly value: string;
  readonly by: string;
  readonly reason: string;
  readonly ban: boolean;
}

export interface TakenBack {
  /** Of the live-state entry. */
  readonly number: number;
  readonly grantsEnded: number;
  /** The root key that signs from now on, where the one in use was revoked; else empty. */
  readonly nextKid: string;
}

/**
 * Takes something back. Resolves when that is durable and handed to the collector.
 * @throws {BehalfError} `not_found`, `request_malformed`
 */
export type TakeBack = (order: TakeBackOrder) => Promise<TakenBack>;

export interface RootKeys {
  /** Names of the root keys that the mesh takes now. */
  trusted(): readonly string[];
  /** Name of the one in use. */
  inUse(): string;
  /**
   * Makes the next one and keeps it in place of the one in use, on disk when this returns. `finish` hands it to the mesh and
   * signs with it from then on.
   */
  replace(): { readonly kid: string; finish(): Promise<void> };
  /** Takes one that is not in use out of the mesh and out of those to come. */
  drop(kid: string): Promise<void>;
}

export interface TakeBackDeps {
  readonly database: Database;
  readonly oauth: OAuthStore;
  readonly consents: Consents;
  readonly changes: ConsentChanges;
  readonly revocations: Revocations;
  readonly accounts: Accounts;
  readonly bans: Bans;
  readonly rootKeys: RootKeys;
  readonly clock: Clock;
}

/** Makes the function. */
export function createTakeBack(deps: TakeBackDeps): TakeBack {
  const { database, oauth, consents, changes, revocations, accounts, bans, rootKeys, clock } = deps;
  const { sql } = database;
  const grantsOfAccount = sql.prepare(
    'SELECT g.grant_id FROM consent_grant g JOIN consent c ON c.id = g.consent WHERE c.account = ?',
  );
  const grantsOfClient = sql.prepare(
    'SELECT g.grant_id FROM consent_grant g JOIN consent c ON c.id = g.consent WHERE c.client_id = ?',
  );
  const grantsOfConsent = sql.prepare('SELECT grant_id FROM consent_grant WHERE consent = ?');
  const grantById = sql.prepare('SELECT grant_id FROM consent_grant WHERE grant_id = ?');
  const endBrowserSessions = sql.prepare('DELETE FROM browser_session WHERE account = ?');
  const endOAuthSessions = sql.prepare(
    "DELETE FROM oauth WHERE model = 'Session' AND json_extract(payload, '$.accountId') = ?",
  );

  const nowS = (): number => Math.floor(clock());

  /** What rests on it here, and its revocation, at once; then the mesh. */
  async function end(order: TakeBackOrder, here: () => readonly string[]): Promise<TakenBack> {
    const { kind, value, by, reason } = order;
    const { due, ended } = database.transaction(() => {
      if (order.ban && (kind === 'sub' || kind === 'client')) bans.put({ kind, value, by, reason });
      const grants = here();
      const ended = grants.filter((grant) => oauth.find('Grant', grant) !== undefined).length;
      for (const grant of grants) oauth.endGrant(grant);
      return { due: revocations.queue({ kind, value, before: nowS() }, by, reason), ended };
    });
    return { number: await revocations.handOver(due), grantsEnded: ended, nextKid: '' };
  }

  const grantsFrom = (rows: Record<string, unknown>[]): string[] => rows.map((row) => String(row['grant_id']));

  async function endConsent(order: TakeBackOrder): Promise<TakenBack> {
    const { value: id, by, reason } = order;
    const consent = consents.get(id);
    if (consent === null) throw new BehalfError('not_found', { what: 'consent' });
    // One that has ended is revoked all the same: its last roots and streams may still run.
    if (consent.state !== 'active') return end(order, () => grantsFrom(grantsOfConsent.all(id)));
    const grants = grantsFrom(grantsOfConsent.all(id)).filter((grant) => oauth.find('Grant', grant) !== undefined);
    const { number } = await changes.withdraw(id, by, reason);
    return { number, grantsEnded: grants.length, nextKid: '' };
  }

  function endUser(order: TakeBackOrder): Promise<TakenBack> {
    const account = accounts.ofPseudonym(order.value);
    if (account === null) throw new BehalfError('not_found', { what: 'user' });
    return end(order, () => {
      endBrowserSessions.run(account);
      endOAuthSessions.run(account);
      oauth.endUpstream(accountName(account));
      return grantsFrom(grantsOfAccount.all(account));
    });
  }

  async function endRootKey({ kind, value, by, reason }: TakeBackOrder): Promise<TakenBack> {
    if (!rootKeys.trusted().includes(value)) throw new BehalfError('not_found', { what: 'root key' });
    // Who holds the key writes any `iat`: all of it is hit, for as long as anyone may still know the key.
    const revocation = { kind, value, before: nowS() + REMEMBERED_S };
    // First of all, so that no start finds the key any more: if we stop after this, the next start publishes the new one in its
    // place, and an operator who asks again hears that the mesh does not take the old one.
    const replacement = rootKeys.inUse() === value ? rootKeys.replace() : null;
    const due = database.transaction(() => revocations.queue(revocation, by, reason));
    const number = await revocations.handOver(due);
    if (replacement !== null) {
      await replacement.finish();
      return { number, grantsEnded: 0, nextKid: replacement.kid };
    }
    // Else one that is on its way would come into use, and all that it signs be refused.
    await rootKeys.drop(value);
    return { number, grantsEnded: 0, nextKid: '' };
  }

  return async (order) => {
    if (order.ban && order.kind !== 'sub' && order.kind !== 'client')
      throw new BehalfError('request_malformed', { member: 'ban', why: 'for users and clients' });
    switch (order.kind) {
      case 'consent':
        return endConsent(order);
      case 'sub':
        return endUser(order);
      case 'client':
        return end(order, () => {
          oauth.endUpstream(clientName(order.value));
          return grantsFrom(grantsOfClient.all(order.value));
        });
      case 'grant':
        return end(order, () => grantsFrom(grantById.all(order.value)));
      case 'kid':
        return endRootKey(order);
      case 'txn':
      case 'deferred':
        return end(order, () => []);
      default:
        return order.kind satisfies never;
    }
  };
}
