/**
 * The authority put together from its rooms, without its listeners and without the rest of the mesh: what it takes from there
 * (the snapshot, WIT keys, live state, the record) comes in as functions. `start.ts` gives it the real ones.
 */
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { Logger } from 'pino';
import { BUILT_IN_DETAIL_TYPES, detailTypesOf } from '../delegation/index.ts';
import { defaultAudience } from '../delegation/root/index.ts';
import { BehalfError } from '../errors/index.ts';
import type { Clock, TrustDomain } from '../identity/index.ts';
import type { CompiledSnapshot } from '../policy/index.ts';
import type { PolicySnapshot } from '../policy/snapshot/snapshot.ts';
import { type ConsentChanges, createConsentChanges } from './consent/consent-changes.ts';
import { type Consents, createConsents } from './consent/consents.ts';
import { createRevocations, type RevocationDeps } from './consent/revocations.ts';
import { createDeferrals, type Deferrals } from './deferred/deferrals.ts';
import type { EndingDeps } from './deferred/endings.ts';
import { createDeferredStore, type DeferredStore } from './deferred/store.ts';
import { createGrantDetails } from './details/grant-details.ts';
import { type RecordEvent, revocationEvent } from './events/events.ts';
import { createExchange, createMint, type Exchange } from './exchange/exchange.ts';
import { createExitTokens, type ExitTokens } from './exchange/exit-token.ts';
import { createRootKeyFinder, type HeldContext } from './exchange/held-chain.ts';
import { createProofChecker } from './exchange/proof-of-possession.ts';
import { registerTokenExchange } from './exchange/token-endpoint.ts';
import { createAddressOf } from './http/client-address.ts';
import { createFrontDoor } from './http/front-door.ts';
import type { AuthorityKeys } from './keys/keys.ts';
import { createAccessTokens } from './oauth/access-tokens.ts';
import { type ClientConfig, metadataOfWorkload } from './oauth/clients.ts';
import { createProvider, DEFAULT_ACCESS_TOKEN_TTL_S } from './oauth/provider.ts';
import { createRevocationEffects } from './oauth/revocation-effects.ts';
import { createFormTokens } from './pages/form-tokens.ts';
import { createPages, errorPage } from './pages/index.ts';
import { type Bans, createBans } from './revoke/bans.ts';
import { createTakeBack, type RootKeys, type TakeBack } from './revoke/take-back.ts';
import { type AccountConfig, type Accounts, openAccounts } from './sign-in/accounts.ts';
import { createBrowserSessions } from './sign-in/browser-sessions.ts';
import { createSignInLimits } from './sign-in/sign-in-limits.ts';
import type { Database } from './store/database.ts';
import { createOAuthStore } from './store/oauth-adapter.ts';
import type { UpstreamIssuerConfig } from './upstream/config.ts';
import { createPresentedTokens } from './upstream/upstream-tokens.ts';

export interface AuthorityDeps {
  readonly issuer: string;
  readonly trustDomain: TrustDomain;
  readonly clients: readonly ClientConfig[];
  readonly accounts: readonly AccountConfig[];
  readonly accessTokenTtlS?: number | undefined;
  /** Other issuers whose access tokens are taken. */
  readonly upstreamIssuers?: readonly UpstreamIssuerConfig[] | undefined;
  /** Addresses and networks of the proxies before the HTTP port. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Opened by the caller, closed by `close`. */
  readonly database: Database;
  readonly keys: AuthorityKeys;
  readonly snapshot: () => PolicySnapshot | null;
  /** The same, made ready for deciding. */
  readonly policy: () => CompiledSnapshot | null;
  /** All revocations in force, as the mesh has them, and whether they are fresh enough to judge a delegation by. */
  readonly liveState: Pick<HeldContext, 'revoked' | 'fresh'> & Pick<EndingDeps, 'caEntries'>;
  readonly witKey: (kid: string) => KeyObject | null;
  readonly revoke: RevocationDeps['revoke'];
  readonly rootKeys: RootKeys;
  readonly record: RecordEvent;
  /** Who is at the other end of a request on the mTLS listener; null on the one for browsers. */
  readonly peerOf: (request: IncomingMessage) => MeshPeer | null;
  readonly mtlsTokenEndpoint: string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a request's TLS connection proved. */
export interface MeshPeer {
  readonly id: string;
  readonly certificateS256: string;
}

export interface Authority {
  /** Answers browsers and OAuth clients. */
  readonly handleHttp: RequestListener;
  readonly exchange: Exchange;
  /** Tokens for audiences outside the mesh. */
  readonly exitTokens: ExitTokens;
  readonly consents: Consents;
  readonly changes: ConsentChanges;
  readonly accounts: Accounts;
  readonly takeBack: TakeBack;
  readonly bans: Bans;
  readonly deferrals: Deferrals;
  readonly deferredStore: DeferredStore;
  /** A user's pseudonym in the mesh. */
  subjectOf(account: string): string;
  /** Expires, forgets and finishes what is due; call it now and then. */
  sweep(): Promise<void>;
}

/**
 * Puts the authority together.
 * @throws {BehalfError} `config_invalid`
 */
export async function createAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { issuer, trustDomain, database, keys, clock, log, record, peerOf } = deps;
  const upstreamIssuers = deps.upstreamIssuers ?? [];
  const upstreamClients = upstreamIssuers.flatMap(({ clients }) => clients);
  checkNames([...deps.clients, ...upstreamClients]);
  checkAccounts(deps.accounts, upstreamIssuers);
  checkIssuers(issuer, upstreamIssuers);
  const audience = accessAudience(trustDomain);
  const accounts = await openAccounts(database, deps.accounts, keys.secretFor('pseudonyms'));
  const subjectOf = (account: string): string => accounts.pseudonymOf(account, 'mesh');
  const revocations = createRevocations({
    database,
    clock,
    revoke: deps.revoke,
    // Made below; nothing is queued before the authority is put together.
    onQueued: (revocation, by, reason) => deferrals.onQueued(revocation, by, reason),
    onStated: async (stated) => {
      // What was taken back is taken back, whether or not the log can be written; the collector has the entry itself too.
      await record(revocationEvent(stated)).catch((error: unknown) =>
        log.error({ err: error }, 'revocation not on record'),
      );
    },
  });
  const effects = createRevocationEffects(revocations, clock);
  const oauth = createOAuthStore(database, clock, (id) => metadataOfWorkload(deps.snapshot(), id), effects.queue);
  const detailTypes = () => detailTypesOf([...BUILT_IN_DETAIL_TYPES.values()], deps.snapshot()?.detail_types ?? []);
  const details = createGrantDetails({ database, types: detailTypes });
  const consents = createConsents({ database, oauth, revocations, details, clock });
  const changes = createConsentChanges({ consents, revocations, record, subjectOf, log });
  const bans = createBans(database, clock);
  const takeBack = createTakeBack({
    database,
    oauth,
    consents,
    changes,
    revocations,
    accounts,
    bans,
    rootKeys: deps.rootKeys,
    clock,
  });
  const tokens = createAccessTokens({ issuer, audience, keys, oauth, clock });
  const presented = createPresentedTokens({
    issuers: upstreamIssuers,
    own: tokens,
    accounts,
    consents,
    changes,
    oauth,
    named: () => deps.snapshot()?.token_issuers ?? [],
    clock,
  });
  const sessions = createBrowserSessions(database, clock);
  const clientNames = new Map(deps.clients.map(({ id, name }) => [id, name]));

  const provider = createProvider({
    ...deps,
    audience,
    oauth,
    consents,
    tokens,
    accounts,
    details,
    detailTypes,
    accessTokenTtlS: deps.accessTokenTtlS ?? DEFAULT_ACCESS_TOKEN_TTL_S,
    errorPage,
    peerOf: (request) => peerOf(request)?.id ?? null,
  });
  provider.on('server_error', (_ctx, error) => log.error({ err: error }, 'an OAuth request failed'));
  effects.holdAnswers(provider);

  const stands = (account: string, clientId: string): boolean =>
    ((accounts.isActive(account) && clientNames.has(clientId)) || presented.knows(account, clientId)) &&
    !bans.has('sub', subjectOf(account)) &&
    !bans.has('client', clientId);
  const roots = { issuer, audience: defaultAudience(trustDomain), keys };
  const deferredStore = createDeferredStore(database);
  const deferrals = createDeferrals({
    ...deps.liveState,
    ...roots,
    trustDomain,
    database,
    store: deferredStore,
    consents,
    oauth,
    revocations,
    policy: deps.policy,
    stands,
    subjectOf,
    accountOf: accounts.ofPseudonym,
    rootKey: createRootKeyFinder(keys),
    witKey: deps.witKey,
    mint: createMint(roots),
    record,
    clock,
  });
  const exchange = createExchange({
    ...roots,
    resume: deferrals.resume,
    tokens: presented,
    consents,
    details,
    transaction: database.transaction,
    proofs: createProofChecker(clock),
    snapshot: deps.snapshot,
    stands,
    subjectOf,
    trustDomain,
    witKey: deps.witKey,
    clock,
  });
  const exitTokens = createExitTokens({
    ...deps.liveState,
    issuer,
    audience: defaultAudience(trustDomain),
    trustDomain,
    keys,
    consents,
    policy: deps.policy,
    stands,
    accountOf: accounts.ofPseudonym,
    pseudonymFor: (account, outside) => accounts.pseudonymOf(account, `exit:${outside}`),
    rootKey: createRootKeyFinder(keys),
    witKey: deps.witKey,
    record,
    clock,
  });
  registerTokenExchange({
    provider,
    exchange,
    exitTokens,
    certificateOf: (request) => peerOf(request)?.certificateS256 ?? null,
    clock,
    log,
  });

  const secure = issuer.startsWith('https:');
  const pages = createPages({
    provider,
    accounts,
    limits: createSignInLimits(clock),
    sessions,
    consents,
    details,
    detailTypes,
    changes,
    forms: createFormTokens(keys.secretFor('form'), new URL(issuer).origin),
    snapshot: deps.snapshot,
    clientName: (id) => clientNames.get(id) ?? upstreamClients.find((client) => client.id === id)?.name ?? id,
    deferredStore,
    deferrals,
    deferrableOf: (id) => deps.clients.find((client) => client.id === id)?.deferrable ?? null,
    audience,
    secure,
    addressOf: createAddressOf(deps.trustedProxies ?? []),
    clock,
  });

  return {
    handleHttp: createFrontDoor({ provider, pages, tokens, keys, issuer: new URL(issuer), secure, log }),
    exchange,
    exitTokens,
    consents,
    changes,
    accounts,
    takeBack,
    bans,
    deferrals,
    deferredStore,
    subjectOf,
    sweep: async () => {
      oauth.sweep();
      sessions.sweep();
      await changes.sweep();
      await deferrals.sweep();
    },
  };
}

/** The one audience of access tokens: the mesh as a whole, which takes them at its entries alone. */
function accessAudience(trustDomain: TrustDomain): string {
  return `spiffe://${trustDomain}/behalf/mesh`;
}

/** Nobody may have a password for the account of another issuer's user. */
function checkAccounts(accounts: readonly AccountConfig[], issuers: readonly UpstreamIssuerConfig[]): void {
  for (const { name } of accounts) {
    if (issuers.some(({ issuer }) => name.startsWith(`${issuer}#`)))
      throw new BehalfError('config_invalid', { account: name, why: 'its name is that of another issuer’s user' });
  }
}

/** Our own tokens are ours to judge: as another's, one that was revoked would still bring a root. */
function checkIssuers(own: string, issuers: readonly UpstreamIssuerConfig[]): void {
  if (issuers.some(({ issuer }) => issuer === own))
    throw new BehalfError('config_invalid', { issuer: own, why: 'the authority itself' });
}

function checkNames(clients: readonly Pick<ClientConfig, 'id'>[]): void {
  const seen = new Set<string>();
  for (const { id } of clients) {
    // Workloads are clients under their SPIFFE IDs; a configured client may not pass for one.
    if (seen.has(id) || id.startsWith('spiffe:'))
      throw new BehalfError('config_invalid', { client: id, why: 'its id is taken' });
    seen.add(id);
  }
}
