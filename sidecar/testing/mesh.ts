/**
 * A small mesh in one process for tests of the sidecar: real certificates from the test issuer, a collector and an authority
 * that speak the real protocols over real mTLS and keep what they were told. Behaves, and lets a test alter what it says.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { decodeEvent } from '../../audit/event/index.ts';
import { mintRoot, type RootClaims, type VerifiedRoot, verifyRoot } from '../../delegation/index.ts';
import type { ErrorCode } from '../../errors/index.ts';
import type { NamedJwk } from '../../identity/bundle/index.ts';
import { DEFAULT_CLOCK_RULE } from '../../identity/clock.ts';
import { parseSpiffeId, type StatementKey } from '../../identity/index.ts';
import { createGrpcServer, requireCaller } from '../../identity/mtls/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import { type PolicySnapshot, signSnapshot } from '../../policy/index.ts';
import {
  auditIntake,
  type ChainBody,
  type ConnectionRefused,
  type Event,
  type Hop,
  type HopEnd,
} from '../../proto/behalf/audit/v1/audit.ts';
import { type ExchangeRequest, tokenExchange } from '../../proto/behalf/authority/v1/authority.ts';
import { state, type WatchLiveStateResponse, type WatchSnapshotResponse } from '../../proto/behalf/state/v1/state.ts';
import type { LiveStateSource, Revocation } from '../../state/index.ts';
import { signEntry, signHeartbeat } from '../../state/parse-live-state.ts';
import type { SidecarConfig } from '../config.ts';
import { type RunningSidecar, runSidecar } from '../start.ts';

const HEARTBEAT_MS = 200;

export interface TestMesh {
  readonly issuer: TestIssuer;
  /** Temporary; removed by `close`. */
  readonly folder: string;
  readonly collectorAddress: string;
  readonly authorityAddress: string;
  /** Every event that was reported, in order of arrival. */
  readonly events: Event[];
  /** Every chain body that was reported. */
  readonly chains: ChainBody[];
  hops(): Hop[];
  ends(): HopEnd[];
  refusedConnections(): ConnectionRefused[];
  /** States a revocation of the authority. */
  /** States a revocation, as the authority unless said otherwise. */
  revoke(revocation: Revocation, source?: LiveStateSource): void;
  putSnapshot(snapshot: PolicySnapshot): void;
  /** Stops heartbeats, so that live state ages. */
  silence(): void;
  /** Access tokens that the authority takes, and what each stands for. */
  readonly tokens: Map<string, TestGrant>;
  /** Roots minted so far. */
  exchanges(): number;
  /** A root in the hand of an entry workload; `claims` instead of what it would say. */
  root(holder: TestIdentity, scope: string, claims?: Partial<Pick<RootClaims, 'sub' | 'tctx'>>): VerifiedRoot;
  id(name: string): ReturnType<typeof parseSpiffeId>;
  sidecar(name: string, config?: Partial<SidecarConfig>, options?: { readonly ttlS?: number }): Promise<TestSidecar>;
  close(): Promise<void>;
}

export interface TestGrant {
  readonly sub: string;
  readonly scope: string;
  readonly refuse?: ErrorCode;
  readonly lifeS?: number;
}

export interface TestSidecar extends RunningSidecar {
  readonly identity: TestIdentity;
  stop(): Promise<void>;
}

export async function startTestMesh(snapshot: PolicySnapshot): Promise<TestMesh> {
  const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });
  const issuer = await createTestIssuer(snapshot.trust_domain);
  const keys = partKeys();
  issuer.publish({
    issuer: 'https://authority.test',
    root_keys: [namedJwk(keys.root.publicKey, keys.root.kid)],
    policy_keys: [namedJwk(keys.policy.publicKey, keys.policy.kid)],
    live_state_keys: {
      authority: [namedJwk(keys.authority.publicKey, keys.authority.kid)],
      ca: [namedJwk(keys.ca.publicKey, keys.ca.kid)],
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'behalf-sidecar-'));
  const events: Event[] = [];
  const chains: ChainBody[] = [];
  const collector = await startCollector(issuer, keys, snapshot, { events, chains }, log);
  const authority = await startAuthority(issuer, keys.root, log);
  const stops: (() => Promise<void>)[] = [];
  const id = (name: string) => parseSpiffeId(`spiffe://${snapshot.trust_domain}/${name}`);

  return {
    issuer,
    folder,
    collectorAddress: collector.address,
    authorityAddress: authority.address,
    events,
    chains,
    hops: () => events.flatMap((event) => (event.body === 'hop' ? [event.hop] : [])),
    ends: () => events.flatMap((event) => (event.body === 'hopEnd' ? [event.hopEnd] : [])),
    refusedConnections: () =>
      events.flatMap((event) => (event.body === 'connectionRefused' ? [event.connectionRefused] : [])),
    revoke: collector.revoke,
    putSnapshot: collector.putSnapshot,
    silence: collector.silence,
    tokens: authority.tokens,
    exchanges: authority.exchanges,
    root(holder, scope, instead = {}) {
      const claims = rootClaims(
        issuer,
        holder.spiffeId,
        { sub: 'u:AAAAAAAAAAAAAAAAAAAAAA', scope },
        { scope, ownTo: '' },
      );
      return verifyRoot(mintRoot({ ...claims, ...instead }, { key: keys.root.privateKey, kid: keys.root.kid }), {
        me: holder.spiffeId,
        nowS: Date.now() / 1000,
        clock: DEFAULT_CLOCK_RULE,
        trustDomain: issuer.trustDomain,
        issuer: claims.iss,
        audience: claims.aud,
        rootKey: (kid) => issuer.bundle().rootKeys.get(kid) ?? null,
        revoked: () => null,
        fresh: () => undefined,
      });
    },
    id,
    async sidecar(name, config = {}, { ttlS = 3600 } = {}) {
      const identity = await issuer.issue(id(name), { ttlS });
      const stop = new AbortController();
      const running = await runSidecar(
        {
          trust: { caAddress: 'unused:1', bundleFile: 'unused', attest: { joinTokenFile: 'unused' } },
          dataDir: join(folder, `${name}-${randomBytes(4).toString('hex')}`),
          service: id(name),
          collectorAddress: collector.address,
          authorityAddress: authority.address,
          ...config,
        },
        identity,
        { log, signal: stop.signal },
      );
      const end = async (): Promise<void> => {
        stop.abort();
        await running.closed;
      };
      stops.push(end);
      return { ...running, identity, stop: end };
    },
    async close() {
      await Promise.all(stops.map((stop) => stop()));
      await collector.close();
      await authority.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type Keys = ReturnType<typeof partKeys>;

function partKeys() {
  const ed25519 = (kid: string) => ({ kid, ...generateKeyPairSync('ed25519') });
  const root = { kid: 'root-1', ...generateKeyPairSync('ec', { namedCurve: 'prime256v1' }) };
  return { root, policy: ed25519('policy-1'), authority: ed25519('authority-1'), ca: ed25519('ca-1') };
}

function namedJwk(key: KeyObject, kid: string): NamedJwk {
  return { ...key.export({ format: 'jwk' }), kid };
}

function signer({ kid, privateKey }: { kid: string; privateKey: KeyObject }): StatementKey {
  return { kid, key: privateKey };
}

async function startCollector(
  issuer: TestIssuer,
  keys: Keys,
  first: PolicySnapshot,
  { events, chains }: Pick<TestMesh, 'events' | 'chains'>,
  log: pino.Logger,
) {
  const identity = await issuer.issue(`spiffe://${issuer.trustDomain}/behalf/collector`);
  const server = createGrpcServer({ identity, log });
  const snapshots = new Set<(answer: WatchSnapshotResponse) => void>();
  const lives = new Set<(answer: WatchLiveStateResponse) => void>();
  const entries: WatchLiveStateResponse[] = [];
  let snapshot = signSnapshot(first, signer(keys.policy));
  let silent = false;

  server.add(auditIntake, {
    report: (stream, caller) => {
      requireCaller(caller);
      stream.on('data', (request) => {
        const taken = request.events.map(decodeEvent);
        events.push(...taken);
        chains.push(...request.chains);
        const last = taken.at(-1);
        if (last !== undefined) stream.write({ epoch: last.epoch, storedThrough: last.seq });
      });
      stream.on('end', () => stream.end());
    },
  });
  server.add(state, {
    publishLiveState: (stream) => void stream.end(),
    putSnapshot: async () => ({ number: 0 }),
    watchSnapshot: (stream) => {
      const send = (answer: WatchSnapshotResponse): void => void stream.write(answer);
      snapshots.add(send);
      stream.on('data', () => undefined);
      stream.on('close', () => snapshots.delete(send));
      stream.on('end', () => stream.end());
      send({ snapshot });
    },
    watchLiveState: (_request, stream) => {
      const send = (answer: WatchLiveStateResponse): void => void stream.write(answer);
      lives.add(send);
      stream.on('close', () => lives.delete(send));
      for (const entry of entries) send(entry);
      for (const beat of beats()) send(beat);
    },
  });

  function beats(): WatchLiveStateResponse[] {
    return (['authority', 'ca'] as const).map((source) => {
      const number = entries.filter((entry) => entry.source === source).length;
      const at = Math.floor(Date.now() / 1000);
      const heartbeat = signHeartbeat({ source, number, kept_from: 1, at }, signer(keys[source]));
      return { source, item: 'heartbeat', heartbeat };
    });
  }
  const heart = setInterval(() => {
    if (!silent) for (const beat of beats()) for (const send of lives) send(beat);
  }, HEARTBEAT_MS);

  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    address: `127.0.0.1:${port}`,
    revoke(revocation: Revocation, source: LiveStateSource = 'authority') {
      const at = Math.floor(Date.now() / 1000);
      const number = entries.filter((entry) => entry.source === source).length + 1;
      const entry = signEntry({ source, number, at, revocation, forget_at: at + 600 }, signer(keys[source]));
      const answer: WatchLiveStateResponse = { source, item: 'entry', entry };
      entries.push(answer);
      for (const send of lives) send(answer);
    },
    putSnapshot(next: PolicySnapshot) {
      snapshot = signSnapshot(next, signer(keys.policy));
      for (const send of snapshots) send({ snapshot });
    },
    silence() {
      silent = true;
    },
    async close() {
      clearInterval(heart);
      await server.close();
      await identity.close();
    },
  };
}

async function startAuthority(issuer: TestIssuer, root: Keys['root'], log: pino.Logger) {
  const identity = await issuer.issue(`spiffe://${issuer.trustDomain}/behalf/authority`);
  const server = createGrpcServer({ identity, log });
  const tokens = new Map<string, TestGrant>();
  let minted = 0;
  server.add(tokenExchange, {
    exchange: (stream, caller) => {
      const workload = requireCaller(caller);
      stream.on('data', (request: ExchangeRequest) => {
        const grant = request.ownTo === '' ? tokens.get(request.subjectToken) : { sub: workload, scope: request.scope };
        if (grant === undefined || grant.refuse !== undefined) {
          const code = grant?.refuse ?? 'entry_token_invalid';
          stream.write({
            id: request.id,
            outcome: 'refusal',
            refusal: { code, oauthError: 'invalid_grant', description: '' },
          });
          return;
        }
        minted += 1;
        const claims = rootClaims(issuer, workload, grant, request);
        const txnToken = mintRoot(claims, { key: root.privateKey, kid: root.kid });
        stream.write({
          id: request.id,
          outcome: 'issued',
          issued: { txnToken, expiresS: claims.exp, scope: claims.scope, accessToken: '', jti: '' },
        });
      });
      stream.on('end', () => stream.end());
    },
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    address: `127.0.0.1:${port}`,
    tokens,
    exchanges: () => minted,
    async close() {
      await server.close();
      await identity.close();
    },
  };
}

function rootClaims(
  issuer: TestIssuer,
  workload: string,
  grant: TestGrant,
  request: Pick<ExchangeRequest, 'scope' | 'ownTo'>,
): RootClaims {
  const iat = Math.floor(Date.now() / 1000);
  const asked = request.scope.split(' ');
  const own = request.ownTo !== '';
  return {
    iss: 'https://authority.test',
    aud: `spiffe://${issuer.trustDomain}/behalf/delegation`,
    iat,
    exp: iat + (grant.lifeS ?? 120),
    txn: randomBytes(16).toString('base64url'),
    sub: grant.sub,
    scope: grant.scope
      .split(' ')
      .filter((scope) => asked.includes(scope))
      .join(' '),
    req_wl: parseSpiffeId(workload),
    tctx: own
      ? {}
      : {
          client_id: 'shop-app',
          consent: { id: `consent-${grant.sub}`, version: 1 },
          grant: `grant-${grant.sub}`,
          purpose: 'test',
        },
  };
}
