/**
 * A real authority on a loopback port with what it needs of the mesh behaving as the real thing does: live state that numbers
 * what it is told, a record that keeps events, a snapshot and a CA for WITs. For tests; its clock can be moved.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import { type Revocation, revocationHits } from '../../delegation/revocation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../identity/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import { compileSnapshot } from '../../policy/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import type { ProvenRun } from '../../state/index.ts';
import { type Authority, createAuthority, type MeshPeer } from '../authority.ts';
import type { AuthorityEvent } from '../events/events.ts';
import { ACCESS_TOKEN_TYPE, type ExchangeCaller, type ExchangeParameters } from '../exchange/exchange.ts';
import type { ObtainTokens } from '../headless/authorization-code.ts';
import { type AuthorityKeys, openKeys } from '../keys/keys.ts';
import { hashPassword } from '../sign-in/accounts.ts';
import { type Database, openDatabase } from '../store/database.ts';
import type { UpstreamIssuerConfig } from '../upstream/config.ts';

export const TRUST_DOMAIN = parseTrustDomain('shop.example');
export const STOREFRONT = parseSpiffeId('spiffe://shop.example/storefront');
export const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
export const INVENTORY = parseSpiffeId('spiffe://shop.example/inventory');
export const PASSWORD = 'correct horse battery staple';
export const REDIRECT_URI = 'http://127.0.0.1:9/callback';
export const SCOPES = ['orders:read', 'orders:write', 'payments:charge'];

/** What the demo user is asked through the shop's app, for `obtainTokens`. */
export function consentOrder(issuer: string, more: Partial<ObtainTokens> = {}): ObtainTokens {
  return {
    issuer,
    clientId: 'shop-app',
    redirectUri: REDIRECT_URI,
    account: 'demo',
    password: PASSWORD,
    scopes: SCOPES,
    purpose: 'buy a book',
    durationS: 3_600,
    ...more,
  };
}

/** Parameters of an exchange of an access token, with nothing in them but what is given. */
export function exchangeParameters(more: Partial<ExchangeParameters>): ExchangeParameters {
  return {
    subjectToken: '',
    subjectTokenType: ACCESS_TOKEN_TYPE,
    scope: SCOPES.join(' '),
    authorizationDetails: '',
    purpose: '',
    dpopProof: '',
    dpopMethod: '',
    dpopUri: '',
    ownTo: '',
    clientCertificateS256: '',
    ...more,
  };
}

export interface RunningAuthority {
  readonly issuer: string;
  /** Where it is reached; the issuer, unless that was given. */
  readonly origin: string;
  readonly authority: Authority;
  readonly dataDir: string;
  readonly database: Database;
  readonly keys: AuthorityKeys;
  readonly ca: TestIssuer;
  readonly stated: { readonly revocation: Revocation; readonly number: number }[];
  readonly events: AuthorityEvent[];
  /** The CA's live state as it has come in. */
  readonly caState: { revoked: Revocation[]; proven: ProvenRun | null };
  /** Moves the clock on. */
  advance(seconds: number): void;
  nowS(): number;
  setSnapshot(snapshot: PolicySnapshot | null): void;
  /** Whether the log cannot be written from now on. */
  failRecord(fails: boolean): void;
  /** A workload with an SVID and a WIT. */
  workload(id: string): Promise<{ identity: TestIdentity; caller: ExchangeCaller }>;
  close(): Promise<void>;
}

/** A snapshot in which the storefront is an entry and orders may call inventory on its own authority. */
export function testSnapshot(): PolicySnapshot {
  const about = { owner: 'shop', reason: 'test' };
  return {
    version: 1,
    number: 1,
    trust_domain: TRUST_DOMAIN,
    issued_at: 0,
    valid_until: 4_102_444_800,
    scopes: { 'orders:read': { title: 'See your orders', description: 'What you ordered & when' } },
    detail_types: [],
    services: {},
    workloads: {
      [STOREFRONT]: { name: 'storefront', ...about, entry_ceiling: ['orders:read', 'orders:write'], own: [] },
      [ORDERS]: { name: 'orders', ...about, entry_ceiling: null, own: [{ to: INVENTORY, scopes: ['stock:read'] }] },
    },
    edges: [],
    exits: {},
    token_issuers: [],
    cedar: { schema: '', policies: {} },
    settings: {
      root_reuse_s: 30,
      max_staleness_s: { authority: 30, ca: 300 },
      stream_max_age_s: 3_600,
      min_context: 'trace',
    },
  };
}

/** Starts one. `close` leaves nothing behind. */
export async function runAuthority(
  options: {
    peerOf?: (request: IncomingMessage) => MeshPeer | null;
    log?: Logger;
    issuer?: string;
    trustedProxies?: readonly string[];
    upstreamIssuers?: readonly UpstreamIssuerConfig[];
  } = {},
): Promise<RunningAuthority> {
  const dataDir = mkdtempSync(join(tmpdir(), 'behalf-authority-'));
  const database = openDatabase(dataDir);
  const keys = openKeys(dataDir, 'a passphrase for tests');
  const ca = await createTestIssuer(TRUST_DOMAIN);
  const stated: { revocation: Revocation; number: number }[] = [];
  const events: AuthorityEvent[] = [];
  const caState: RunningAuthority['caState'] = { revoked: [], proven: { keptFrom: 1, through: 0 } };
  let ahead = 0;
  let recordFails = false;
  let snapshot: PolicySnapshot | null = {
    ...testSnapshot(),
    token_issuers: options.upstreamIssuers?.map(({ issuer }) => issuer) ?? [],
  };
  const clock = (): number => Date.now() / 1000 + ahead;

  const server = createServer((request, response) => authority.handleHttp(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = options.issuer ?? origin;
  const authority = await createAuthority({
    issuer,
    trustDomain: TRUST_DOMAIN,
    clients: [
      {
        id: 'shop-app',
        name: 'Shop <app>',
        redirectUris: [REDIRECT_URI],
        scopes: SCOPES,
        owner: 'shop',
        reason: 'test',
      },
      {
        id: 'other-app',
        name: 'Other app',
        redirectUris: [REDIRECT_URI],
        scopes: SCOPES,
        deferrable: { maxS: 600, uses: 3 },
        owner: 'shop',
        reason: 'test',
      },
    ],
    accounts: [
      { name: 'demo', passwordHash: await hashPassword(PASSWORD) },
      { name: 'second', passwordHash: await hashPassword(PASSWORD) },
    ],
    database,
    keys,
    snapshot: () => snapshot,
    policy: () => (snapshot === null ? null : compileSnapshot(snapshot)),
    liveState: {
      revoked: (facts) =>
        stated.find(({ revocation }) => revocationHits(revocation, 'authority', facts))?.revocation ??
        caState.revoked.find((revocation) => revocationHits(revocation, 'ca', facts)) ??
        null,
      fresh: () => undefined,
      caEntries: () => caState.proven,
    },
    witKey: (kid) => ca.bundle().witKeys.get(kid) ?? null,
    revoke: async (revocation) => {
      stated.push({ revocation, number: stated.length + 1 });
      return { number: stated.length };
    },
    rootKeys: {
      trusted: () => [keys.root.kid],
      inUse: () => keys.root.kid,
      replace: () => {
        const { next, use } = keys.replaceRoot();
        return { kid: next.kid, finish: async () => use() };
      },
      drop: async (kid) => keys.dropRoot(kid),
    },
    record: async (event) => {
      if (recordFails) throw new BehalfError('audit_unavailable');
      events.push(event);
    },
    peerOf: options.peerOf ?? (() => null),
    mtlsTokenEndpoint: null,
    trustedProxies: options.trustedProxies,
    upstreamIssuers: options.upstreamIssuers,
    clock,
    log: options.log ?? pino({ level: 'silent' }),
  });

  return {
    issuer,
    origin,
    authority,
    dataDir,
    database,
    keys,
    ca,
    stated,
    events,
    caState,
    advance: (seconds) => {
      ahead += seconds;
    },
    nowS: () => Math.floor(clock()),
    setSnapshot: (next) => {
      snapshot = next;
    },
    failRecord: (fails) => {
      recordFails = fails;
    },
    workload: async (id) => {
      const identity = await ca.issue(id);
      return { identity, caller: { id: identity.spiffeId, certificateS256: identity.current().certificateS256 } };
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      database.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
