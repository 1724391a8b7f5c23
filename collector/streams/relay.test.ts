/** The relay and its writers by themselves, and what receivers make of a relay that is hostile. */
import { generateKeyPairSync } from 'node:crypto';
import { Writable } from 'node:stream';
import pino from 'pino';
import { expect, test } from 'vitest';
import type { NamedJwk, SignedStatement, StatementKey } from '../../identity/index.ts';
import { createGrpcServer } from '../../identity/mtls/index.ts';
import { createTestIssuer } from '../../identity/testing/issuer.ts';
import { buildSnapshot, signSnapshot } from '../../policy/index.ts';
import { SHOP_SOURCE } from '../../policy/testing/shop.ts';
import { state } from '../../proto/behalf/state/v1/state.ts';
import { type StateDefect, watchState } from '../../state/index.ts';
import { signEntry, signHeartbeat } from '../../state/parse-live-state.ts';
import { createLiveRelay, type LiveMessage } from './live-relay.ts';
import { createPacedWriter } from './slow-watcher.ts';
import { openStateStore } from './state-store.ts';

const statement = (text: string): SignedStatement => ({
  payload: Buffer.from(text),
  kid: 'k',
  signature: Buffer.alloc(64),
});

/** A stream that takes one message at a time, when told to. */
function valve(): { stream: Writable; seen: LiveMessage[]; takeOne(): void } {
  const seen: LiveMessage[] = [];
  let waiting: (() => void) | null = null;
  const stream = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(message: LiveMessage, _encoding, done) {
      seen.push(message);
      waiting = done;
    },
  });
  return {
    stream,
    seen,
    takeOne() {
      const done = waiting;
      waiting = null;
      done?.();
    },
  };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a slow watcher costs no queue: it is written one message at a time, heartbeats last and only the newest', async () => {
  const store = openStateStore(':memory:');
  const relay = createLiveRelay(store);
  for (let n = 1; n <= 3; n += 1) relay.publishEntry('ca', n, statement(`e${n}`));
  relay.publishHeartbeat('ca', statement('old beat'), null);
  const { stream, seen, takeOne } = valve();
  const writer = createPacedWriter<LiveMessage>(stream, { onRoom: () => watcher.pump(), onSlow: () => undefined });
  const watcher = relay.watch(writer, { ca: 1 });
  for (let n = 4; n <= 6; n += 1) relay.publishEntry('ca', n, statement(`e${n}`));
  relay.publishHeartbeat('ca', statement('new beat'), null);
  expect(stream.writableLength).toBe(1);
  for (let n = 0; n < 10; n += 1) {
    takeOne();
    await nextTurn();
  }
  const texts = seen.map(({ entry, heartbeat }) => (entry ?? heartbeat)?.payload.toString());
  expect(texts).toEqual(['e2', 'e3', 'e4', 'e5', 'e6', 'new beat']);
  watcher.leave();
  store.close();
});

test('a watcher that takes nothing for too long is cut off', async () => {
  const { stream } = valve();
  const slow = new Promise<void>((resolve) => {
    const writer = createPacedWriter<LiveMessage>(stream, { onRoom: () => undefined, onSlow: resolve, slowMs: 20 });
    writer.write({ source: 'ca', heartbeat: statement('b') });
    expect(writer.isOpen()).toBe(false);
  });
  await slow;
});

test('an entry that is sent again is stored once, and another entry of its number is refused', () => {
  const store = openStateStore(':memory:');
  const relay = createLiveRelay(store);
  expect(relay.publishEntry('authority', 1, statement('one'))).toBe(true);
  expect(relay.publishEntry('authority', 1, statement('one'))).toBe(false);
  expect(() => relay.publishEntry('authority', 1, statement('other'))).toThrow(/statement_untrusted/);
  expect(relay.publishEntry('ca', 1, statement('other'))).toBe(true);
  expect(relay.publishEntry('authority', 5, statement('five'))).toBe(true);
  expect(relay.publishEntry('authority', 3, statement('late'))).toBe(false);
  store.close();
});

test('entries that the source forgot are dropped, and numbers are remembered', () => {
  const store = openStateStore(':memory:');
  const relay = createLiveRelay(store);
  for (let n = 1; n <= 4; n += 1) relay.publishEntry('ca', n, statement(`e${n}`));
  relay.publishHeartbeat('ca', statement('unverified'), null);
  expect(store.entries('ca')).toHaveLength(4);
  relay.publishHeartbeat('ca', statement('beat'), 3);
  expect(store.entries('ca').map(({ number }) => number)).toEqual([3, 4]);
  relay.publishHeartbeat('ca', statement('beat'), 5);
  expect(store.entries('ca')).toEqual([]);
  expect(createLiveRelay(store).storedThrough('ca')).toBe(4);
  store.close();
});

function newKey(kid: string): StatementKey & { jwk: NamedJwk } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { kid, key: privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } as NamedJwk };
}

test('a collector that invents, changes or withholds is seen: nothing of it counts, and the source never turns fresh', async () => {
  const log = pino({ level: 'silent' });
  const [policy, authority, ca, evil] = [newKey('p1'), newKey('a1'), newKey('c1'), newKey('a1')];
  const issuer = await createTestIssuer('shop.example');
  issuer.publish({ policy_keys: [policy.jwk], live_state_keys: { authority: [authority.jwk], ca: [ca.jwk] } });
  const identity = await issuer.issue('spiffe://shop.example/orders');
  const nowS = Date.now() / 1_000;
  const revocation = { kind: 'sub', value: 'u:alice', before: nowS } as const;
  const entry = (number: number, by: StatementKey): SignedStatement =>
    signEntry({ source: 'authority', number, at: nowS, revocation, forget_at: nowS + 60 }, by);
  const good = signSnapshot(buildSnapshot({ ...SHOP_SOURCE, number: 4, issuedAtS: nowS }), policy);
  const older = signSnapshot(buildSnapshot({ ...SHOP_SOURCE, number: 3, issuedAtS: nowS }), policy);
  const forgedSnapshot = signSnapshot(buildSnapshot({ ...SHOP_SOURCE, number: 9, issuedAtS: nowS }), {
    ...evil,
    kid: 'p1',
  });

  const server = createGrpcServer({ identity: await issuer.issue('spiffe://shop.example/behalf/collector'), log });
  const askedFor: number[] = [];
  server.add(state, {
    publishLiveState: () => undefined,
    putSnapshot: () => ({ number: 0 }),
    watchSnapshot: (stream) => {
      for (const snapshot of [forgedSnapshot, good, older]) stream.write({ snapshot });
    },
    watchLiveState: ({ knownThrough }, stream) => {
      askedFor.push(knownThrough['authority'] ?? -1);
      stream.write({ source: 'authority', entry: entry(1, evil) });
      stream.write({ source: 'authority', entry: entry(1, authority) });
      // Number 2 is withheld.
      stream.write({ source: 'authority', entry: entry(3, authority) });
      stream.write({
        source: 'authority',
        heartbeat: signHeartbeat({ source: 'authority', number: 3, kept_from: 1, at: nowS }, authority),
      });
    },
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const stop = new AbortController();
  const view = watchState({ identity, collectorAddress: `127.0.0.1:${port}`, log, signal: stop.signal });
  const defects: StateDefect[] = [];
  view.onDefect((defect) => defects.push(defect));

  const kinds = (): string[] => defects.map(({ source, kind }) => `${source} ${kind}`);
  const expected = ['policy forged', 'policy went_back', 'authority forged', 'authority incomplete'];
  const endMs = performance.now() + 15_000;
  while (!(expected.every((kind) => kinds().includes(kind)) && askedFor.length >= 2) && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(kinds()).toEqual(expect.arrayContaining(expected));
  // Asked again, from before the gap.
  expect(askedFor.slice(0, 2)).toEqual([0, 1]);
  expect(view.snapshot()?.number).toBe(4);
  expect(view.ageMs(performance.now(), 'authority')).toBe(Number.POSITIVE_INFINITY);
  expect(() => view.checkFresh(performance.now(), 'authority')).toThrow(/revocation_stale/);
  // What was rightly signed is in force all the same.
  expect(view.revocations.isEmpty).toBe(false);
  stop.abort();
  await server.close();
  await identity.close();
});
