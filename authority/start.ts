/**
 * The authority as a process: obtains its identity, publishes its keys, follows the snapshot, opens its ports, and on the way
 * out closes in the reverse order, so that what was answered is also delivered.
 */
import { aborted } from 'node:util';
import type { Logger } from 'pino';
import { openReporter } from '../audit/report/index.ts';
import { BehalfError, codeOf } from '../errors/index.ts';
import { readPassphrase } from '../identity/at-rest/index.ts';
import { systemClock } from '../identity/index.ts';
import { createGrpcServer, type ProvenPeer, parseListen } from '../identity/mtls/index.ts';
import { type OwnIdentity, openIdentity } from '../identity/own/index.ts';
import { consents, deferrals, revocations, tokenExchange } from '../proto/behalf/authority/v1/authority.ts';
import { openLiveStateSource, type StateView, watchState } from '../state/index.ts';
import { type Authority, createAuthority } from './authority.ts';
import type { AuthorityConfig } from './config.ts';
import { serveConsents } from './consent/serve-consents.ts';
import { serveDeferrals } from './deferred/serve-deferrals.ts';
import { keyEvent, type RecordEvent } from './events/events.ts';
import { serveExchange } from './exchange/serve-exchange.ts';
import { type HttpPort, openHttpPort, openMeshHttpPort } from './http/listeners.ts';
import { type AuthorityKeys, openKeys } from './keys/keys.ts';
import { publishKeys } from './keys/publish-keys.ts';
import { startRotation } from './keys/rotate-keys.ts';
import { isLoopbackUrl } from './oauth/clients.ts';
import { serveRevocations } from './revoke/serve-revocations.ts';
import { openDatabase } from './store/database.ts';

/** Where the authority can be reached. */
export interface AuthorityReady {
  /** gRPC, `host:port`. */
  readonly address: string;
  readonly issuer: string;
  readonly jwksUri: string;
  /** `/token` over mTLS, or null. */
  readonly meshTokenEndpoint: string | null;
}

export interface Running<T> {
  readonly ready: T;
  /** Resolves once everything is closed after the signal. */
  readonly closed: Promise<void>;
}

const SWEEP_INTERVAL_MS = 15_000;

/**
 * Starts the authority; resolves when it answers. Aborting the signal ends it.
 * @throws {BehalfError} `config_invalid`, `key_unusable`, `port_in_use`, `data_directory_unusable`, and refusals of the CA
 */
export async function startAuthority(
  config: AuthorityConfig,
  deps: { log: Logger; signal: AbortSignal },
): Promise<Running<AuthorityReady>> {
  const { log, signal } = deps;
  const opened = closeInReverse(log);
  // What answers rest on ends after the ports have closed, not with the signal that closes them.
  const support = new AbortController();
  const startup = AbortSignal.any([signal, support.signal]);
  opened.add('support', async () => support.abort());
  try {
    const ready = await open(config, log, startup, support.signal, opened);
    return { ready, closed: aborted(signal, signal).then(() => opened.closeAll()) };
  } catch (error) {
    await opened.closeAll();
    throw error;
  }
}

async function open(
  config: AuthorityConfig,
  log: Logger,
  startup: AbortSignal,
  signal: AbortSignal,
  opened: Closers,
): Promise<AuthorityReady> {
  const { trust, dataDir, collectorAddress } = config;
  const passphrase = readPassphrase(config.passphraseFile);
  const http = await openHttpPort(config.http.listen);
  opened.add('http', http.close);
  const issuer = issuerOf(config, http, log);

  const identity = await openIdentity({ trust, dataDir, log, signal: startup });
  opened.add('identity', identity.close);
  const keys = openKeys(dataDir, passphrase, { rootKeyLifeS: config.rootKeyLifeS });
  const database = openDatabase(dataDir);
  opened.add('database', async () => database.close());
  const reporter = openReporter({ spoolDir: `${dataDir}/spool`, collectorAddress, identity, log, signal });
  opened.add('reporter', reporter.close);
  const record: RecordEvent = (event) => reporter.record(event);
  const publish = (until: AbortSignal): Promise<void> =>
    publishKeys({ caAddress: trust.caAddress, identity, keys, issuer, log, signal: until });
  await publish(startup);
  await recordKeys(keys, record);

  const key = { kid: keys.liveState.kid, key: keys.liveState.key };
  const liveState = openLiveStateSource({
    source: 'authority',
    file: `${dataDir}/live-state.sqlite`,
    key,
    collectorAddress,
    identity,
    log,
    signal,
  });
  opened.add('live state', liveState.close);
  const floorFile = `${dataDir}/snapshot-floor.json`;
  const state = watchState({ identity, collectorAddress, floorFile, log, signal });
  opened.add('state view', state.close);

  const mesh =
    config.http.meshListen === undefined
      ? null
      : await openMeshHttpPort(config.http.meshListen, { identity, clock: systemClock, log });
  if (mesh !== null) opened.add('mesh http', mesh.close);
  const meshTokenEndpoint = mesh === null ? null : `https://${hostOf(mesh)}:${mesh.port}/token`;
  const authority = await createAuthority({
    issuer,
    trustDomain: identity.trustDomain,
    clients: config.clients,
    accounts: config.accounts,
    accessTokenTtlS: config.accessTokenTtlS,
    upstreamIssuers: config.upstreamIssuers,
    trustedProxies: config.http.trustedProxies,
    database,
    keys,
    snapshot: () => state.snapshot()?.snapshot ?? null,
    policy: () => state.snapshot(),
    liveState: {
      revoked: (facts) => state.revocations.hit(facts),
      fresh: () => {
        state.checkFresh(performance.now(), 'authority');
        state.checkFresh(performance.now(), 'ca');
      },
      caEntries: () => state.proven('ca'),
    },
    witKey: (kid) => identity.bundle().witKeys.get(kid) ?? null,
    revoke: liveState.revoke,
    rootKeys: {
      trusted: () => [...identity.bundle().rootKeys.keys()],
      inUse: () => keys.root.kid,
      replace: () => {
        const { next, use } = keys.replaceRoot();
        return {
          kid: next.kid,
          finish: async () => {
            await record(keyEvent('root', next.kid, 'made')).catch((error: unknown) =>
              log.error({ err: error, kid: next.kid }, 'change of a key not on record'),
            );
            await publish(signal);
            use();
          },
        };
      },
      drop: async (kid) => {
        keys.dropRoot(kid);
        await publish(signal);
      },
    },
    record,
    peerOf: (request) => mesh?.peerOf(request) ?? null,
    mtlsTokenEndpoint: meshTokenEndpoint,
    clock: systemClock,
    log,
  });
  opened.add('rotation', startRotation({ keys, publish, record, log }));
  opened.add('sweep', startSweeping(authority, log));
  const port = await openGrpc(config.listen, authority, { identity, state, log, opened });
  http.answerWith(authority.handleHttp);
  mesh?.answerWith(authority.handleHttp);
  // The ports close before all that they rest on.
  opened.add('http', http.close);
  return {
    address: `${hostOf(parseListen(config.listen))}:${port}`,
    issuer,
    jwksUri: `${issuer}/jwks`,
    meshTokenEndpoint,
  };
}

interface GrpcParts {
  readonly identity: OwnIdentity;
  readonly state: StateView;
  readonly log: Logger;
  readonly opened: Closers;
}

async function openGrpc(
  listen: string,
  authority: Authority,
  { identity, state, log, opened }: GrpcParts,
): Promise<number> {
  const server = createGrpcServer({ identity, log, isRevoked: (peer) => isRevokedPeer(state, peer) });
  state.onRevocation((revocation, source) => {
    if (source !== 'ca') return;
    server.endRevoked();
    authority.deferrals
      .onCaRevocation(revocation)
      .catch((error: unknown) => log.error({ err: error }, 'deferred work of a revoked workload'));
  });
  server.add(tokenExchange, serveExchange(authority, log));
  const { trustDomain } = identity;
  server.add(deferrals, serveDeferrals({ ...authority, trustDomain }));
  server.add(consents, serveConsents({ ...authority, trustDomain }));
  server.add(revocations, serveRevocations({ ...authority, trustDomain }));
  const port = await server.listen(parseListen(listen));
  opened.add('grpc', server.close);
  return port;
}

function isRevokedPeer({ revocations }: StateView, { spiffeId, certificateS256, issuedS }: ProvenPeer): boolean {
  const signer = { iat: issuedS, workload: spiffeId, certificate: certificateS256, jti: null, kid: null };
  return revocations.hit({ root: null, signers: [signer] }) !== null;
}

/** The issuer of the configuration, or of the port; without TLS on loopback alone. @throws {BehalfError} `config_invalid` */
function issuerOf({ http, devMode }: AuthorityConfig, port: HttpPort, log: Logger): string {
  const issuer = http.issuer ?? `http://${hostOf(port)}:${port.port}`;
  const url = URL.parse(issuer);
  if (url === null || url.origin !== issuer)
    throw new BehalfError('config_invalid', { issuer, why: 'not an origin such as https://auth.example' });
  if (url.protocol === 'https:') return issuer;
  if (!isLoopbackUrl(url) || !isLoopbackUrl(new URL(`http://${hostOf(port)}`))) {
    throw new BehalfError('config_invalid', {
      issuer,
      why: 'an issuer without TLS has to be, and to listen, on loopback',
    });
  }
  const message =
    'DEVELOPMENT ONLY: the issuer has no TLS; passwords and tokens cross this machine’s loopback in the clear';
  if (devMode === true) log.info({ issuer }, message);
  else log.warn({ issuer }, message);
  return issuer;
}

function hostOf({ host }: { host: string }): string {
  return host.includes(':') ? `[${host}]` : host;
}

async function recordKeys(keys: AuthorityKeys, record: RecordEvent): Promise<void> {
  for (const { use, kid } of keys.made) await record(keyEvent(use, kid, 'made'));
}

/** Sweeps now and then; gives its own end, which waits for a sweep underway. */
function startSweeping(authority: Authority, log: Logger): () => Promise<void> {
  let underway: Promise<void> | null = null;
  const sweep = (): void => {
    underway ??= authority
      .sweep()
      .catch((error: unknown) => log.error({ err: error, code: codeOf(error) }, 'sweep failed'))
      .finally(() => {
        underway = null;
      });
  };
  sweep();
  const timer = setInterval(sweep, SWEEP_INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    await underway;
  };
}

interface Closers {
  add(what: string, close: () => Promise<void>): void;
  closeAll(): Promise<void>;
}

/** Closes what was opened, newest first, each once. One that fails does not keep the others open. */
function closeInReverse(log: Logger): Closers {
  const closers: { what: string; close: () => Promise<void> }[] = [];
  return {
    add: (what, close) => {
      closers.push({ what, close });
    },
    closeAll: async () => {
      for (let next = closers.pop(); next !== undefined; next = closers.pop()) {
        await next.close().catch((error: unknown) => log.error({ err: error, what: next?.what }, 'closing failed'));
      }
    },
  };
}
