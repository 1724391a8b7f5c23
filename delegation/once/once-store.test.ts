import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createOnceStore } from './once-store.ts';

const PEER = parseSpiffeId('spiffe://shop.example/orders');
const OTHER = parseSpiffeId('spiffe://shop.example/payments');
const use = (jti: string, peer = PEER, iat = 1000) => ({ peer, jti, iat, exp: iat + 60 });

test('an id is taken once a peer', () => {
  const store = createOnceStore({ startedAtS: 0 });
  store.take(use('a'), 1000);
  store.take(use('a', OTHER), 1000);
  expect(() => store.take(use('a'), 1000)).toThrow(/delegation_replayed/);
  expect(() => store.take(use('a'), 1064)).toThrow(/delegation_replayed/);
});

test('when full it denies, and forgets only what cannot verify any more', () => {
  const store = createOnceStore({ startedAtS: 0, maxPerPeer: 2 });
  store.take(use('a'), 1000);
  store.take(use('b', PEER, 1010), 1010);
  expect(() => store.take(use('c', PEER, 1020), 1020)).toThrow(/delegation_replay_store_full/);
  store.take(use('c', OTHER, 1020), 1020);
  store.take(use('c', PEER, 1020), 1065);
  expect(() => store.take(use('b', PEER, 1010), 1065)).toThrow(/delegation_replayed/);
});

test('all peers together have a limit', () => {
  const store = createOnceStore({ startedAtS: 0, maxEntries: 1 });
  store.take(use('a'), 1000);
  expect(() => store.take(use('a', OTHER), 1000)).toThrow(/delegation_replay_store_full/);
  store.take(use('a', OTHER, 1065), 1065);
  expect(store.size).toBe(1);
});

test('for 65 s after a start, links from before it are refused', () => {
  const store = createOnceStore({ startedAtS: 1000 });
  expect(() => store.take(use('a', PEER, 1000), 1001)).toThrow(/delegation_replayed/);
  store.take(use('a', PEER, 1001), 1001);
});

test('a full store is gone through once a second at most, and takes new ids as soon as it was', () => {
  const store = createOnceStore({ startedAtS: 0, maxEntries: 2 });
  store.take(use('a'), 1000);
  store.take(use('b', PEER, 1000.5), 1000.5);
  expect(() => store.take(use('c', OTHER, 1064.9), 1064.9)).toThrow(/delegation_replay_store_full/);
  // `a` has ended by now, but the last look was a moment ago.
  expect(() => store.take(use('c', OTHER, 1065.1), 1065.1)).toThrow(/delegation_replay_store_full/);
  store.take(use('c', OTHER, 1065.9), 1065.9);
  expect(store.size).toBe(1);
});
