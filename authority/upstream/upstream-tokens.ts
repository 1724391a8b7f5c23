/**
 * Tokens of other issuers beside our own, for the exchange: whose account they are, and the consent that they rest on. An administrator
 * gives it in the users' place, by configuration; it is a record like any other, made when the first token of a user and client
 * comes. What is taken back stays so: no later token makes a new consent of it, and none made before it brings a root again.
 */
import { randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { ConsentChanges } from '../consent/consent-changes.ts';
import type { Consent, Consents } from '../consent/consents.ts';
import { isPurpose, PURPOSE_RULE } from '../consent/purpose.ts';
import type { AccessTokens, VerifiedAccessToken } from '../oauth/access-tokens.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import type { UpstreamClientConfig, UpstreamIssuerConfig } from './config.ts';
import { createUpstreamReader, type UpstreamReader } from './read-token.ts';
import { checkNotTakenBack, withdrawnS } from './taken-back.ts';

/** Largest token whose issuer is looked for; an entry sends none that is larger. */
const MAX_TOKEN_BYTES = 8_192;

export interface PresentedTokens extends Pick<AccessTokens, 'verify' | 'stands' | 'consentIdOf'> {
  /** Whether a user of another issuer and a client of it are still configured. */
  knows(account: string, clientId: string): boolean;
}

export interface UpstreamDeps {
  readonly issuers: readonly UpstreamIssuerConfig[];
  /** Our own tokens: all that no other issuer claims. */
  readonly own: AccessTokens;
  readonly accounts: Pick<Accounts, 'ofIssuer' | 'nameOf'>;
  readonly consents: Consents;
  readonly changes: Pick<ConsentChanges, 'give' | 'onRecord'>;
  readonly oauth: Pick<OAuthStore, 'find' | 'upsert' | 'endedS'>;
  /** Issuers that the signed policy names: only theirs are taken, so that every sidecar knows whose tokens to look for. */
  readonly named: () => readonly string[];
  readonly clock: Clock;
}

interface Issuer {
  readonly config: UpstreamIssuerConfig;
  readonly read: UpstreamReader;
  /** By the name that the issuer has for it. */
  readonly clients: ReadonlyMap<string, UpstreamClient>;
}

interface UpstreamClient extends UpstreamClientConfig {
  readonly untilS: number;
  readonly sinceS: number;
}

/** Ties them together. @throws {BehalfError} `config_invalid` */
export function createPresentedTokens(deps: UpstreamDeps): PresentedTokens {
  const { own, accounts, consents, changes, oauth, clock } = deps;
  const issuers = new Map(deps.issuers.map((config) => [config.issuer, openIssuer(config, clock)]));
  if (issuers.size !== deps.issuers.length)
    throw new BehalfError('config_invalid', { key: 'upstreamIssuers', why: 'an issuer twice' });
  /** Consents being given: nothing is issued on one before it is on record. */
  const giving = new Map<string, Promise<Consent>>();

  async function verifyUpstream({ config, read, clients }: Issuer, compact: string): Promise<VerifiedAccessToken> {
    if (!deps.named().includes(config.issuer))
      throw new BehalfError('entry_token_invalid', { why: 'the policy does not name its issuer' });
    const token = await read(compact);
    const client = clients.get(token.client);
    if (client === undefined) throw new BehalfError('entry_token_invalid', { why: 'its client is not configured' });
    const account = accounts.ofIssuer(config.issuer, token.subject);
    const origin = { account, clientId: client.id, iatS: token.iatS };
    // Before a consent is given for it, and again as giving may have waited.
    checkNotTakenBack(deps, origin, null);
    const consent = await consentOf(account, client);
    const grantId = grantOf(consent);
    checkNotTakenBack(deps, origin, grantId);
    // One that was ended stands again for tokens that were made after, as where a user signs in anew.
    if (oauth.find('Grant', grantId) === undefined) keepGrant(grantId, account, client);
    return {
      recordId: '',
      account,
      clientId: client.id,
      grantId,
      scopes: token.scopes.filter((name) => client.scopes.includes(name)),
      expS: Math.min(token.expS, client.untilS),
      keyThumbprint: token.keyThumbprint,
      certificateS256: token.certificateS256,
    };
  }

  /** The consent of a user for a client and its purpose; given where there is none that stands or was taken back. */
  async function consentOf(account: string, client: UpstreamClient): Promise<Consent> {
    const key = JSON.stringify([account, client.id, client.purpose]);
    const underway = giving.get(key);
    if (underway !== undefined) return underway;
    const nowS = clock();
    const [latest] = consents
      .list(account)
      .filter(({ clientId, purpose }) => clientId === client.id && purpose === client.purpose)
      .toSorted((a, b) => b.fromS - a.fromS || Number(b.state === 'active') - Number(a.state === 'active'));
    if (latest?.state === 'active' && nowS < latest.untilS) {
      // Where the log could not be written when it was given, it can now, or its users wait.
      await changes.onRecord(latest);
      return latest;
    }
    if (latest?.state === 'withdrawn' && withdrawnS(consents, latest) >= client.sinceS)
      throw new BehalfError('consent_withdrawn', {});
    if (!(nowS < client.untilS)) throw new BehalfError('entry_token_expired', { untilS: client.untilS });
    const given = giveConsent(account, client).finally(() => giving.delete(key));
    giving.set(key, given);
    return given;
  }

  /** If we stop after the first line, a grant that nothing rests on is left, and ends by itself. */
  function giveConsent(account: string, client: UpstreamClient): Promise<Consent> {
    const grantId = randomBytes(32).toString('base64url');
    keepGrant(grantId, account, client);
    const { id: clientId, scopes, purpose, untilS, reason } = client;
    const shown = `Given by the administrator in the user’s place: ${reason}`;
    return changes.give({
      account,
      clientId,
      scopes,
      purpose,
      untilS,
      shown,
      grantId,
      details: [],
      by: 'administrator',
      reason,
    });
  }

  function keepGrant(grantId: string, accountId: string, { id: clientId, untilS }: UpstreamClient): void {
    oauth.upsert('Grant', grantId, { kind: 'Grant', accountId, clientId, upstream: true }, untilS - clock());
  }

  function grantOf({ id }: Consent): string {
    const grantId = consents.grantsOf(id).at(-1);
    if (grantId === undefined) throw new BehalfError('entry_token_invalid', { why: 'no grant' });
    return grantId;
  }

  return {
    verify(compact) {
      const issuer = issuers.get(issuerOf(compact));
      return issuer === undefined ? own.verify(compact) : verifyUpstream(issuer, compact);
    },
    stands: (token) => (token.recordId === '' ? oauth.find('Grant', token.grantId) !== undefined : own.stands(token)),
    consentIdOf: (compact) => (issuers.has(issuerOf(compact)) ? Promise.resolve(null) : own.consentIdOf(compact)),
    knows(account, clientId) {
      const name = accounts.nameOf(account) ?? '';
      for (const { config } of issuers.values())
        if (name.startsWith(`${config.issuer}#`)) return config.clients.some(({ id }) => id === clientId);
      return false;
    },
  };
}

function openIssuer(config: UpstreamIssuerConfig, clock: Clock): Issuer {
  const clients = new Map(config.clients.map((client) => [client.upstreamId ?? client.id, parseClient(client)]));
  if (clients.size !== config.clients.length)
    throw new BehalfError('config_invalid', { issuer: config.issuer, why: 'a client twice' });
  return { config, read: createUpstreamReader(config, clock), clients };
}

function parseClient(client: UpstreamClientConfig): UpstreamClient {
  const untilS = Date.parse(client.until) / 1000;
  const sinceS = client.since === undefined ? 0 : Date.parse(client.since) / 1000;
  if (Number.isNaN(untilS) || Number.isNaN(sinceS))
    throw new BehalfError('config_invalid', {
      client: client.id,
      why: '`until` and `since` have to be RFC 3339 times',
    });
  if (!isPurpose(client.purpose))
    throw new BehalfError('config_invalid', { client: client.id, why: `purpose has to be ${PURPOSE_RULE}` });
  return { ...client, untilS: Math.floor(untilS), sinceS };
}

/** The `iss` that a JWT claims; empty for anything else. Nothing is verified: it only says who is to verify it. */
function issuerOf(compact: string): string {
  const parts = compact.length > MAX_TOKEN_BYTES ? [] : compact.split('.');
  if (parts.length !== 3) return '';
  try {
    const payload: unknown = JSON.parse(Buffer.from(parts[1] as string, 'base64url').toString('utf8'));
    const iss = typeof payload === 'object' && payload !== null && 'iss' in payload ? payload.iss : '';
    return typeof iss === 'string' ? iss : '';
  } catch {
    return '';
  }
}
