/** WITs that verified are not parsed again: what an attacker could try to have another one taken for them. */
import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { parseWit } from '../../identity/wit/index.ts';
import type { VerifyContext } from '../context.ts';
import { type Forgery, forge, signJson } from '../test-forge.ts';
import { createTestMesh } from '../test-mesh.ts';
import { type ChainCache, createChainCache } from './chain-cache.ts';
import { type FindParsedWit, parseChain } from './parse-chain.ts';
import { verifyChain } from './verify-chain.ts';

const mesh = createTestMesh();
const orders = mesh.workload('orders');
const TWO: Forgery['hops'] = [{ to: 'orders' }, { to: 'payments' }];

const findIn =
  (cache: ChainCache, peer: SpiffeId = orders.spiffeId): FindParsedWit =>
  (compact) =>
    cache.findWit(peer, compact)?.wit ?? null;

/** As a sidecar does it: the peer's own known WITs for the parser, every step for the rest. */
function receive(cache: ChainCache, forgery: Forgery = { hops: TWO }, changes: Partial<VerifyContext> = {}): string {
  try {
    const parsed = parseChain(forge(mesh, forgery), findIn(cache));
    verifyChain(parsed, mesh.context('payments', 'orders', { cache, ...changes }));
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

/** Another user's chain: only its WITs are known. */
const another = (n: number): Forgery => ({ root: { txn: Buffer.alloc(16, n).toString('base64url') }, hops: TWO });

/** A cache that has seen one chain of this peer's. */
function seenOne(): ChainCache {
  const cache = createChainCache();
  expect(receive(cache)).toBe('accepted');
  return cache;
}

test('the WIT of a chain that verified is found by its text, and is what parsing the text gives', () => {
  const cache = seenOne();
  const wit = findIn(cache)(orders.wit);
  expect(wit).toEqual(parseWit(orders.wit));
  expect(parseChain(forge(mesh, another(1)), findIn(cache)).last.wit).toBe(wit);
  expect(receive(cache, another(1))).toBe('accepted');
});

test('with WITs known a chain parses to the same as without', () => {
  const cache = seenOne();
  const sent = forge(mesh, another(2));
  expect(parseChain(sent, findIn(cache))).toEqual(parseChain(sent));
});

test('a WIT with one character changed is none that is known, wherever it was changed', () => {
  const cache = seenOne();
  const find = findIn(cache);
  for (let at = 0; at < orders.wit.length; at++) {
    const changed = orders.wit[at] === 'A' ? 'B' : 'A';
    expect(find(`${orders.wit.slice(0, at)}${changed}${orders.wit.slice(at + 1)}`)).toBeNull();
  }
  expect(find('')).toBeNull();
  expect(find(`${orders.wit}A`)).toBeNull();
  expect(find(orders.wit.slice(0, -1))).toBeNull();
});

test('a known WIT with another signature is verified, refused and not remembered', () => {
  const cache = seenOne();
  const known = cache.size;
  const input = orders.wit.slice(0, orders.wit.lastIndexOf('.'));
  const claims = JSON.parse(Buffer.from(input.split('.')[1] as string, 'base64url').toString()) as object;
  const header = { typ: 'wit+jwt', alg: 'ES256', kid: mesh.witKey.kid };
  const forged = signJson(header, { ...claims }, mesh.workload('mallory').witKey);
  expect(forged.slice(0, forged.lastIndexOf('.'))).toBe(input);
  const hops = [{ to: 'orders' }, { to: 'payments', wit: forged }];
  expect(receive(cache, { ...another(3), hops })).toBe('delegation_bad_signature');
  expect(cache.size).toBe(known);
  expect(findIn(cache)(forged)).toBeNull();
});

test('a WIT that names another key or workload under a known name is verified for itself', () => {
  const cache = seenOne();
  const mallory = mesh.workload('mallory');
  expect(
    receive(cache, {
      ...another(4),
      hops: [{ to: 'orders' }, { to: 'payments', wit: mallory.wit, key: mallory.witKey }],
    }),
  ).toBe('delegation_holder_mismatch');
  expect(receive(cache, { ...another(5), hops: [{ to: 'orders' }, { to: 'payments', key: mallory.witKey }] })).toBe(
    'delegation_bad_signature',
  );
});

test('what one peer showed is nothing that another’s chain is parsed from', () => {
  const cache = seenOne();
  expect(findIn(cache, mesh.workload('inventory').spiffeId)(orders.wit)).toBeNull();
});

test('a known WIT counts no more under another key of that name, and goes with its key', () => {
  const cache = seenOne();
  const { witKey } = mesh.workload('mallory');
  expect(receive(cache, another(6), { witKey: () => witKey })).toBe('delegation_bad_signature');
  expect(receive(cache, another(6), { witKey: () => null })).toBe('delegation_bad_signature');
  cache.evictKid(mesh.witKey.kid);
  expect(findIn(cache)(orders.wit)).toBeNull();
});

test('a revoked WIT is refused though it is known', () => {
  const cache = seenOne();
  const revocation = { kind: 'wit', value: 'wit-of-orders', before: mesh.nowS } as const;
  expect(receive(cache, another(7), { revoked: () => revocation })).toBe('delegation_revoked');
});

test('what is remembered keeps nothing else alive: no slice of the header, no block of shared memory', () => {
  const { signature } = findIn(seenOne())(orders.wit) ?? parseWit(orders.wit);
  expect(signature.buffer.byteLength).toBe(signature.length);
});

test('a peer that shows many WITs pushes out its own only', () => {
  const cache = createChainCache({ maxPerPeer: 1 });
  expect(receive(cache)).toBe('accepted');
  // Two WITs came with that chain, and there is room for one.
  expect(findIn(cache)(mesh.workload('storefront').wit)).toBeNull();
  expect(findIn(cache)(orders.wit)).not.toBeNull();
});
