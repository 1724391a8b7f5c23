import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { NamedJwk, SignedStatement, StatementKey } from '../../identity/index.ts';
import {
  connectService,
  createGrpcServer,
  errorOfCall,
  type GrpcServer,
  STREAM_LIMITS,
} from '../../identity/mtls/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import { buildSnapshot, type PolicySnapshot, signSnapshot } from '../../policy/index.ts';
import { SHOP_SOURCE } from '../../policy/testing/shop.ts';
import { decisionService } from '../../proto/behalf/decision/v1/decision.ts';
import { state, type WatchLiveStateResponse } from '../../proto/behalf/state/v1/state.ts';
import {
  type LiveStateSourceHandle,
  openLiveStateSource,
  type Revocation,
  type StateClock,
  type StateView,
  watchState,
} from '../../state/index.ts';
import { serveDecision } from '../decision/index.ts';
import { type CollectorState, serveStreams } from './index.ts';

const log = pino({ level: 'silent' });
const TD = 'spiffe://shop.example';

interface Key extends StatementKey {
  readonly jwk: NamedJwk;
}
function newKey(kid: string): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { kid, key: privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } as NamedJwk };
}

const keys = { authority: newKey('a1'), ca: newKey('c1'), policy: newKey('p1') };
let issuer: TestIssuer;
let ids: {
  collector: TestIdentity;
  authority: TestIdentity;
  ca: TestIdentity;
  orders: TestIdentity;
  operator: TestIdentity;
};

beforeAll(async () => {
  issuer = await createTestIssuer('shop.example');
  issuer.publish({
    policy_keys: [keys.policy.jwk],
    live_state_keys: { authority: [keys.authority.jwk], ca: [keys.ca.jwk] },
  });
  const issue = (path: string) => issuer.issue(`${TD}${path}`);
  ids = {
    collector: await issue('/behalf/collector'),
    authority: await issue('/behalf/authority'),
    ca: await issue('/behalf/ca'),
    orders: await issue('/orders'),
    operator: await issue('/behalf/operator/root'),
  };
});

let dir: string;
let stop: AbortController;
let collector: { server: GrpcServer; state: CollectorState; address: string; end: () => Promise<void> };

/** A collector on the same files, and on the same port where one is given. */
async function startCollector(port = 0): Promise<typeof collector> {
  const ending = new AbortController();
  const server = createGrpcServer({ identity: ids.collector, log });
  const dataDir = join(dir, 'collector');
  mkdirSync(dataDir, { recursive: true });
  const served = serveStreams(server, { dataDir, identity: ids.collector, log, signal: ending.signal });
  serveDecision(server, { state: served });
  const address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port })}`;
  const end = async (): Promise<void> => {
    ending.abort();
    await server.close();
  };
  return { server, state: served, address, end };
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-streams-'));
  stop = new AbortController();
  collector = await startCollector();
});
afterEach(async () => {
  stop.abort();
  await collector.end();
  rmSync(dir, { recursive: true });
});
afterAll(async () => {
  for (const identity of Object.values(ids)) await identity.close();
});

function source(name: 'authority' | 'ca', file = `${name}.sqlite`): LiveStateSourceHandle {
  return openLiveStateSource({
    source: name,
    file: join(dir, file),
    key: keys[name],
    collectorAddress: collector.address,
    identity: ids[name],
    log,
    signal: stop.signal,
  });
}

function watch(clock?: StateClock, more: { floorFile?: string; signal?: AbortSignal } = {}): StateView {
  const { address: collectorAddress } = collector;
  const common = { identity: ids.orders, collectorAddress, log, signal: stop.signal, ...more };
  return watchState(clock === undefined ? common : { ...common, clock });
}

function client(identity: TestIdentity) {
  const made = connectService(state, { address: collector.address, identity, expect: ids.collector.spiffeId, log });
  stop.signal.addEventListener('abort', () => made.close());
  return made;
}

const snapshot = (
  number: number,
  change: (snapshot: PolicySnapshot) => PolicySnapshot = (same) => same,
): SignedStatement =>
  signSnapshot(change(buildSnapshot({ ...SHOP_SOURCE, number, issuedAtS: Date.now() / 1_000 - 60 })), keys.policy);

async function put(statement: SignedStatement, by = ids.operator): Promise<number> {
  return (await client(by).putSnapshot({ snapshot: statement })).number;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not in 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const revocation = (value: string): Revocation => ({ kind: 'sub', value, before: Date.now() / 1_000 });
const later = (): number => Date.now() / 1_000 + 600;
const facts = (sub: string) => ({
  root: {
    iat: 1,
    kid: 'k',
    txn: 't',
    sub,
    client: null,
    consent: null,
    consentVersion: null,
    grant: null,
    deferred: null,
  },
  signers: [],
});

test('snapshot and live state reach a watcher, which then is ready and fresh', async () => {
  source('ca');
  const authority = source('authority');
  await put(snapshot(1));
  await authority.revoke(revocation('u:before'), later());
  const view = watch();
  await view.whenReady();
  expect(view.numbers()).toEqual({ snapshot: 1, authority: 1, ca: 0 });
  expect(view.revocations.hit(facts('u:before'))).not.toBeNull();
  for (const name of ['authority', 'ca'] as const) expect(() => view.checkFresh(performance.now(), name)).not.toThrow();
  await put(snapshot(2));
  await until('snapshot 2', () => view.snapshot()?.number === 2);
});

test('a withdrawal is in force at every watcher within milliseconds, without polling', async () => {
  const authority = source('authority');
  source('ca');
  await put(snapshot(1));
  const views = Array.from({ length: 20 }, () => watch());
  await Promise.all(views.map((view) => view.whenReady()));
  const delays: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const at = performance.now();
    const heard = views.map(
      (view) => new Promise<number>((resolve) => view.onRevocation(() => resolve(performance.now() - at))),
    );
    const { acknowledged } = await authority.revoke(revocation(`u:${round}`), later());
    expect(acknowledged).toBe(true);
    delays.push(...(await Promise.all(heard)));
  }
  // Tens of milliseconds; the bound leaves room for a busy machine, and no heartbeat or timer could have helped within it.
  expect(delays.toSorted((a, b) => a - b)[Math.floor(delays.length / 2)]).toBeLessThan(500);
  expect(Math.max(...delays)).toBeLessThan(4_000);
});

test('a collector that is restarted loses nothing, and both sides come back by themselves', async () => {
  const authority = source('authority');
  source('ca');
  await put(snapshot(7));
  await authority.revoke(revocation('u:1'), later());
  const view = watch();
  await view.whenReady();
  const port = Number(collector.address.split(':')[1]);
  await collector.end();
  const { number } = await authority.revoke(revocation('u:2'), later());
  expect(number).toBe(2);
  collector = await startCollector(port);
  expect(collector.state.snapshotNumber()).toBe(7);
  expect(collector.state.liveNumbers().authority).toBeGreaterThanOrEqual(1);
  await until('entry 2 at the watcher', () => view.numbers().authority === 2);
  expect(view.revocations.hit(facts('u:2'))).not.toBeNull();
  await until('acknowledged', () => authority.numbers().acknowledged === 2);
});

test('a collector that lost its files gets all kept entries again', async () => {
  const authority = source('authority');
  await authority.revoke(revocation('u:1'), later());
  const port = Number(collector.address.split(':')[1]);
  await collector.end();
  rmSync(join(dir, 'collector'), { recursive: true });
  collector = await startCollector(port);
  await until('entry 1 again', () => collector.state.liveNumbers().authority === 1);
});

test('a withdrawal while the collector is away is durable and published later', async () => {
  const port = Number(collector.address.split(':')[1]);
  await collector.end();
  const authority = source('authority');
  const { number, acknowledged } = await authority.revoke(revocation('u:1'), later());
  expect({ number, acknowledged }).toEqual({ number: 1, acknowledged: false });
  await authority.close();
  source('authority');
  collector = await startCollector(port);
  await until('entry 1', () => collector.state.liveNumbers().authority === 1);
});

test('live state is as old as it is after the machine has slept', async () => {
  let sleptMs = 0;
  const boot = { wallS: () => Date.now() / 1_000, monotonicMs: () => performance.now() };
  const view = watch({ ...boot, bootMs: () => performance.now() + sleptMs });
  const [authority, ca] = [source('authority'), source('ca')];
  const fresh = () => Math.max(view.ageMs(performance.now(), 'authority'), view.ageMs(performance.now(), 'ca'));
  await expect.poll(fresh).toBeLessThan(5_000);
  // No more heartbeats, as where the network is still away when the machine wakes.
  await authority.close();
  await ca.close();
  sleptMs = 3_600_000;
  await expect.poll(fresh, { timeout: 5_000 }).toBeGreaterThan(3_500_000);
  expect(() => view.checkFresh(performance.now(), 'authority')).toThrowError(
    expect.objectContaining({ code: 'revocation_stale' }),
  );
});

test('a clock that is a day ahead for a while makes nobody forget what was revoked', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    let aheadS = 0;
    const clock = { wallS: () => Date.now() / 1_000 + aheadS, monotonicMs: () => performance.now() };
    const authority = source('authority');
    source('ca');
    const view = watch(clock);
    const before = Date.now() / 1_000;
    await authority.revoke({ kind: 'sub', value: 'u:alice', before }, before + 600);
    await expect.poll(() => view.revocations.size).toBe(1);
    await expect.poll(() => view.ageMs(performance.now(), 'ca')).toBeLessThan(5_000);
    aheadS = 86_400;
    vi.advanceTimersByTime(60_000);
    expect(view.revocations.size).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});

test('live state that stays away goes stale by the monotonic clock', async () => {
  const authority = source('authority');
  source('ca');
  await put(snapshot(1));
  let aheadMs = 0;
  const view = watch({ wallS: () => Date.now() / 1_000, monotonicMs: () => performance.now() + aheadMs });
  await view.whenReady();
  await authority.close();
  aheadMs = 31_000;
  const now = performance.now() + aheadMs;
  expect(() => view.checkFresh(now, 'authority')).toThrow(/revocation_stale/);
  expect(() => view.checkFresh(now, 'ca')).not.toThrow();
  expect(() => view.checkFresh(now + 300_000, 'ca')).toThrow(/revocation_stale/);
});

test('only a source publishes, only its own, and only an operator puts snapshots', async () => {
  const refused = (identity: TestIdentity): Promise<string> =>
    new Promise((resolve) => {
      const stream = client(identity).publishLiveState();
      stream.on('error', (error) => resolve(errorOfCall(error).code));
    });
  expect(await refused(ids.orders)).toBe('policy_denied');
  expect(await refused(ids.operator)).toBe('policy_denied');
  await expect(put(snapshot(1), ids.orders)).rejects.toMatchObject({ code: 'policy_denied' });
  await expect(put(snapshot(1), ids.authority)).rejects.toMatchObject({ code: 'policy_denied' });
  // The CA cannot speak as the authority: its stream is the CA's whatever it sends.
  const stream = client(ids.ca).publishLiveState();
  const ended = new Promise<string>((resolve) => stream.on('error', (error) => resolve(errorOfCall(error).code)));
  stream.write({
    entry: { payload: Buffer.from('{"source":"authority","number":1}'), kid: 'a1', signature: Buffer.alloc(64) },
  });
  expect(await ended).toBe('statement_untrusted');
  expect(collector.state.liveNumbers()).toEqual({ authority: 0, ca: 0 });
});

test('a snapshot is stored only if the policy key signed it, its number is higher and all of it is valid', async () => {
  expect(await put(snapshot(5))).toBe(5);
  await expect(put(snapshot(5))).rejects.toMatchObject({ code: 'snapshot_invalid' });
  await expect(put(snapshot(4))).rejects.toMatchObject({ code: 'snapshot_invalid' });
  const signed = snapshot(6);
  const payload = Buffer.from(signed.payload.toString().replace('"number":6', '"number":9'));
  await expect(put({ ...signed, payload })).rejects.toMatchObject({ code: 'statement_untrusted' });
  const broken = snapshot(6, (same) => ({ ...same, cedar: { ...same.cedar, policies: { p: 'permit(principal' } } }));
  await expect(put(broken)).rejects.toMatchObject({ code: 'snapshot_invalid' });
  const other = snapshot(6, (same) => ({
    ...same,
    trust_domain: 'other.example',
    services: {},
    workloads: {},
    edges: [],
  }));
  await expect(put(other)).rejects.toMatchObject({ code: 'snapshot_invalid' });
  expect(collector.state.snapshotNumber()).toBe(5);
  expect(collector.state.snapshotAt(5)?.number).toBe(5);
  expect(collector.state.snapshotAt(4)).toBeNull();
});

test('a receiver that was restarted takes no older snapshot than the last it had, though it is signed', async () => {
  const floorFile = join(dir, 'snapshot-floor.json');
  const operator = client(ids.operator);
  await operator.putSnapshot({ snapshot: snapshot(7) });
  const first = watch(undefined, { floorFile });
  await expect.poll(() => first.snapshot()?.number).toBe(7);
  await first.close();

  // The collector comes back with what it had before, by a backup or on purpose.
  await collector.end();
  rmSync(join(dir, 'collector'), { recursive: true });
  collector = await startCollector();
  const back = client(ids.operator);
  await back.putSnapshot({ snapshot: snapshot(6) });
  const second = watch(undefined, { floorFile });
  const defects: string[] = [];
  second.onDefect(({ source, kind }) => defects.push(`${source} ${kind}`));
  await expect.poll(() => defects).toContain('policy went_back');
  expect(second.snapshot()).toBeNull();
  await back.putSnapshot({ snapshot: snapshot(8) });
  await expect.poll(() => second.snapshot()?.number).toBe(8);
});

test('a snapshot under a key that was just published waits for the key', async () => {
  const fresh = newKey('p2');
  const statement = signSnapshot(buildSnapshot({ ...SHOP_SOURCE, number: 1 }), fresh);
  const answer = put(statement);
  await until('the call waits', () => true);
  issuer.publish({ policy_keys: [keys.policy.jwk, fresh.jwk] });
  expect(await answer).toBe(1);
});

test('a watcher that takes nothing holds nothing up, and gets all when it goes on', async () => {
  const authority = source('authority');
  const stream = client(ids.orders).watchLiveState({ knownThrough: {} });
  stream.on('error', () => undefined);
  stream.pause();
  const other = watch();
  for (let n = 1; n <= 300; n += 1) void authority.revoke(revocation(`u:${n}:${'x'.repeat(1_500)}`), later());
  await until('all at the other watcher', () => other.numbers().authority === 300);
  const numbers: number[] = [];
  stream.on('data', ({ entry }: WatchLiveStateResponse) => {
    if (entry) numbers.push((JSON.parse(entry.payload.toString()) as { number: number }).number);
  });
  stream.resume();
  await until('all at the slow watcher', () => numbers.length === 300);
  expect(numbers).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
});

test('one workload cannot take the streams of all others', async () => {
  const crowd = client(ids.orders);
  const open = () => {
    const stream = crowd.watchLiveState({ knownThrough: {} });
    return new Promise<string>((resolve) => {
      stream.on('error', (error) => resolve(errorOfCall(error).code));
      stop.signal.addEventListener('abort', () => resolve('open'));
    });
  };
  const streams = Array.from({ length: STREAM_LIMITS.certificate + 3 }, open);
  const refused = await Promise.race([Promise.any(streams), new Promise((resolve) => setTimeout(resolve, 10_000))]);
  expect(refused).toBe('overloaded');
  await expect.poll(() => collector.state.watchers().liveState).toBe(STREAM_LIMITS.certificate);
  const other = client(ids.operator).watchLiveState({ knownThrough: {} });
  other.on('error', () => undefined);
  await expect.poll(() => collector.state.watchers().liveState).toBe(STREAM_LIMITS.certificate + 1);
});

test('streams that end leave nothing behind', async () => {
  const view = watch();
  await until('watched', () => collector.state.watchers().liveState === 1 && collector.state.watchers().snapshot === 1);
  await view.close();
  await until('gone', () => collector.state.watchers().liveState === 0 && collector.state.watchers().snapshot === 0);
});

test('Explain is for operators', async () => {
  await put(snapshot(3));
  const { address } = collector;
  const ask = (identity: TestIdentity) => {
    const decisions = connectService(decisionService, { address, identity, expect: ids.collector.spiffeId, log });
    stop.signal.addEventListener('abort', () => decisions.close());
    const call = { caller: `${TD}/storefront`, service: `${TD}/orders`, method: '', path: '', subject: 'u:alice' };
    const facts = { clientId: '', scopes: ['orders:read'], purpose: '', consentId: '', actors: [], depth: 1 };
    return decisions.explain({ call: { ...call, ...facts, resourceJson: '' }, route: 'GET /v1/orders/{id}' });
  };
  expect(await ask(ids.operator)).toMatchObject({ decision: { allow: true }, service: { owner: 'team-orders' } });
  await expect(ask(ids.orders)).rejects.toMatchObject({ code: 'policy_denied' });
});

test('Decide answers a service about itself and an operator about any, by the same function', async () => {
  await put(snapshot(3));
  const ask = (identity: TestIdentity, more: object = {}) => {
    const { address } = collector;
    const decisions = connectService(decisionService, { address, identity, expect: ids.collector.spiffeId, log });
    stop.signal.addEventListener('abort', () => decisions.close());
    return decisions.decide({
      caller: `${TD}/storefront`,
      service: `${TD}/orders`,
      method: 'GET',
      path: '/v1/orders/42',
      subject: 'u:alice',
      scopes: ['orders:read'],
      depth: 1,
      ...more,
    });
  };
  expect(await ask(ids.orders)).toEqual({
    allow: true,
    code: '',
    policies: ['shop-calls'],
    route: 'GET /v1/orders/{id}',
    snapshotNumber: 3,
  });
  expect(await ask(ids.operator, { scopes: [] })).toMatchObject({ allow: false, code: 'insufficient_scope' });
  const resource = (owner: string) => ({
    service: `${TD}/payments`,
    caller: `${TD}/orders`,
    method: 'charge',
    resourceJson: JSON.stringify({ type: 'order', id: '1', owner }),
  });
  expect(await ask(ids.operator, resource('u:alice'))).toMatchObject({ allow: true, policies: ['own#1'] });
  expect(await ask(ids.operator, resource('u:bob'))).toMatchObject({ allow: false, code: 'policy_denied' });
  await expect(ask(ids.ca)).rejects.toMatchObject({ code: 'policy_denied' });
  await expect(ask(ids.operator, { caller: 'x' })).rejects.toMatchObject({ code: 'request_malformed' });
  await expect(ask(ids.operator, { path: '/v1/../x' })).rejects.toMatchObject({ code: 'request_malformed' });
  await expect(ask(ids.operator, { scopes: ['a b'] })).rejects.toMatchObject({ code: 'request_malformed' });
});
