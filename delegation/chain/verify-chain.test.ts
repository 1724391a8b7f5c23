import { expect, test } from 'vitest';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { VerifyContext } from '../context.ts';
import { detailTypesOf, parseDetailType } from '../details/index.ts';
import { createOnceStore } from '../once/once-store.ts';
import { createRevocationSet, type Revocation, type RevocationSource } from '../revocation/index.ts';
import { type ForgedHop, type Forgery, forge } from '../test-forge.ts';
import { createTestMesh, TEST_NOW_S } from '../test-mesh.ts';
import { createChainCache } from './chain-cache.ts';
import { parseChain } from './parse-chain.ts';
import { verifyChain } from './verify-chain.ts';

const mesh = createTestMesh();
const id = (name: string) => mesh.workload(name).spiffeId;
const TWO: readonly ForgedHop[] = [{ to: 'orders' }, { to: 'payments' }];

function verify(forgery: Forgery, changes: Partial<VerifyContext> = {}) {
  const { hops } = forgery;
  const context = mesh.context(hops.at(-1)?.to as string, hops.at(-2)?.to ?? 'storefront', changes);
  return verifyChain(parseChain(forge(mesh, forgery)), context);
}

function codeOf(run: () => unknown): ErrorCode | 'accepted' {
  try {
    run();
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

const last = (claims: ForgedHop['claims']): Forgery => ({
  hops: [{ to: 'orders' }, { to: 'payments', claims: claims ?? {} }],
});
const tctx = (changes: object): Forgery => ({ root: { tctx: { ...mesh.rootClaims().tctx, ...changes } }, hops: TWO });

function revoked(revocation: Revocation, source: RevocationSource): Partial<VerifyContext> {
  const set = createRevocationSet();
  set.add(revocation, TEST_NOW_S + 600, source);
  return { revoked: (facts) => set.hit(facts) };
}

test('a good chain gives whose authority it is, what is left of it, and who acted', () => {
  const chain = verify({
    hops: [
      { to: 'orders', claims: { scope: 'orders:read payments:charge', del_max_depth: 5 } },
      { to: 'payments', claims: { scope: 'payments:charge', exp: TEST_NOW_S + 40 } },
    ],
  });
  expect(chain).toMatchObject({
    kind: 'chain',
    clientId: 'shop-web',
    consent: { id: 'consent-1', version: 3 },
    grant: 'grant-1',
    purpose: 'order groceries',
    scope: ['payments:charge'],
    actors: [id('storefront'), id('orders')],
    holder: id('payments'),
    depth: 2,
    maxDepth: 5,
    expS: TEST_NOW_S + 40,
    fromCache: false,
  });
  expect(chain.chainId).toHaveLength(16);
});

test.each<[string, ErrorCode, Forgery, Partial<VerifyContext>]>([
  [
    'a chain whose last link names another workload',
    'delegation_wrong_audience',
    { hops: TWO },
    { me: id('inventory') },
  ],
  [
    'a chain from a peer that is not its last signer',
    'delegation_holder_mismatch',
    { hops: TWO },
    { peer: mesh.workload('inventory') },
  ],
  [
    'a chain over a connection with another certificate',
    'delegation_holder_mismatch',
    { hops: TWO },
    { peer: { ...mesh.workload('orders'), certificateS256: mesh.workload('inventory').certificateS256 } },
  ],
  [
    'a link signed by a workload that did not hold the chain',
    'delegation_holder_mismatch',
    { hops: [{ to: 'orders', by: 'mallory' }, { to: 'payments' }] },
    {},
  ],
  [
    'a link that names another WIT',
    'delegation_broken_chain',
    last({ wth: Buffer.alloc(32).toString('base64url') }),
    {},
  ],
  [
    'a link of another parent',
    'delegation_broken_chain',
    last({ par_hash: Buffer.alloc(32).toString('base64url') }),
    {},
  ],
  ['a link whose depth does not count on', 'delegation_broken_chain', last({ del_depth: 1 }), {}],
  ['a depth of 0', 'delegation_broken_chain', { hops: [{ to: 'orders', claims: { del_depth: 0 } }] }, {}],
  ['a chain deeper than its root allows', 'delegation_too_deep', tctx({ max_depth: 1 }), {}],
  ['a link that raises the depth limit', 'delegation_too_deep', last({ del_max_depth: 9 }), {}],
  ['a link deeper than the limit it states', 'delegation_too_deep', last({ del_max_depth: 1 }), {}],
  [
    'a workload three times in the chain',
    'delegation_loop',
    { hops: ['orders', 'payments', 'orders', 'payments', 'orders'].map((to) => ({ to })) },
    {},
  ],
  ['a workload that hands to itself', 'delegation_loop', { hops: [{ to: 'orders' }, { to: 'orders' }] }, {}],
  [
    'a receiver that an ancestor did not allow',
    'delegation_broken_chain',
    { hops: [{ to: 'orders', claims: { next: [id('inventory')] } }, { to: 'payments' }] },
    {},
  ],
  [
    'a receiver after an ancestor that allowed none',
    'delegation_broken_chain',
    { hops: [{ to: 'orders', claims: { next: [] } }, { to: 'payments' }] },
    {},
  ],
  ['a `jti` twice', 'delegation_broken_chain', last({ jti: 'AAAAAQAAAAAAAAAA' }), {}],
  ['a link that adds a scope', 'delegation_scope_widened', last({ scope: 'admin' }), {}],
  ['a link that adds details', 'delegation_scope_widened', last({ authorization_details: [{ type: 'payment' }] }), {}],
  [
    'a root that lives 301 s',
    'delegation_malformed',
    { root: { iat: TEST_NOW_S - 1, exp: TEST_NOW_S + 300 }, hops: TWO },
    {},
  ],
  ['a root that ends as it begins', 'delegation_malformed', { root: { exp: TEST_NOW_S - 10 }, hops: TWO }, {}],
  [
    'a link that lives 61 s',
    'delegation_malformed',
    { hops: [{ to: 'orders', claims: { exp: TEST_NOW_S + 61 } }] },
    {},
  ],
  [
    'a root from 31 s ahead',
    'delegation_not_yet_valid',
    { root: { iat: TEST_NOW_S }, hops: TWO },
    { nowS: TEST_NOW_S - 31 },
  ],
  ['a link from 31 s ahead', 'delegation_not_yet_valid', { hops: TWO }, { nowS: TEST_NOW_S - 31 }],
  [
    'a link that begins before its parent',
    'delegation_broken_chain',
    { hops: [{ to: 'orders', claims: { iat: TEST_NOW_S - 11, exp: TEST_NOW_S + 40 } }] },
    {},
  ],
  ['a link that ends after its parent', 'delegation_broken_chain', { root: { exp: TEST_NOW_S + 30 }, hops: TWO }, {}],
  ['a link 5 s after its end', 'delegation_expired', { hops: TWO }, { nowS: TEST_NOW_S + 65 }],
  [
    'a root 5 s after its end',
    'delegation_expired',
    { root: { exp: TEST_NOW_S + 60 }, hops: TWO },
    { nowS: TEST_NOW_S + 65 },
  ],
  [
    'live state that is not fresh',
    'revocation_stale',
    { hops: TWO },
    {
      fresh: () => {
        throw new BehalfError('revocation_stale');
      },
    },
  ],
  [
    'a root with another `iss`',
    'delegation_bad_signature',
    { root: { iss: 'https://elsewhere.example' }, hops: TWO },
    {},
  ],
  [
    'a root with another `aud`',
    'delegation_wrong_audience',
    { root: { aud: 'https://api.shop.example' }, hops: TWO },
    {},
  ],
  ['a root of an unknown key', 'delegation_bad_signature', { rootHeader: { kid: 'unknown' }, hops: TWO }, {}],
  [
    'a root that another key signed',
    'delegation_bad_signature',
    { rootKey: mesh.workload('mallory').witKey, hops: TWO },
    {},
  ],
  ['a WIT of an unknown key', 'delegation_bad_signature', { hops: TWO }, { witKey: () => null }],
  [
    'a WIT that another key signed',
    'delegation_bad_signature',
    { hops: TWO },
    { witKey: () => mesh.workload('mallory').witKey },
  ],
  [
    'a link that another key signed',
    'delegation_bad_signature',
    { hops: [{ to: 'orders' }, { to: 'payments', key: mesh.workload('mallory').witKey }] },
    {},
  ],
  ['another route than the link is bound to', 'delegation_wrong_route', last({ rte: 'GET /orders' }), {}],
  ['a bound link where no route was matched', 'delegation_wrong_route', last({ rte: 'GET /orders' }), { route: null }],
  [
    'a link that is good once at another pod',
    'delegation_wrong_audience',
    last({ once: mesh.workload('orders').certificateS256 }),
    {},
  ],
  [
    'a once-only link where none is remembered',
    'delegation_replay_store_full',
    last({ once: mesh.workload('payments').certificateS256 }),
    {},
  ],
])('%s is refused with %s', (_, code, forgery, changes) => {
  expect(codeOf(() => verify(forgery, changes))).toBe(code);
});

test('`rte` and `once` of earlier links bind nobody any more', () => {
  const claims = { rte: 'GET /elsewhere', once: mesh.workload('orders').certificateS256 };
  expect(codeOf(() => verify({ hops: [{ to: 'orders', claims }, { to: 'payments' }] }))).toBe('accepted');
});

test('a chain whose last link is bound to one call takes no room in the cache; one that was bound earlier does', () => {
  const cache = createChainCache();
  const rte = 'GET /orders';
  const bound = mesh.context('payments', 'orders', { cache, route: rte });
  const isKept = (forgery: Forgery): boolean => {
    const parsed = parseChain(forge(mesh, forgery));
    verifyChain(parsed, bound);
    return verifyChain(parsed, bound).fromCache;
  };
  expect(isKept(last({ rte }))).toBe(false);
  expect(isKept({ hops: TWO })).toBe(true);
  expect(isKept({ hops: [{ to: 'orders', claims: { rte: 'GET /elsewhere' } }, { to: 'payments' }] })).toBe(true);
});

test('a once-only link is taken once', () => {
  const onceStore = createOnceStore({ startedAtS: TEST_NOW_S - 1000 });
  const forgery = last({ once: mesh.workload('payments').certificateS256 });
  expect(codeOf(() => verify(forgery, { onceStore }))).toBe('accepted');
  expect(codeOf(() => verify(forgery, { onceStore }))).toBe('delegation_replayed');
});

test.each<[string, Revocation, RevocationSource, ErrorCode | 'accepted']>([
  ['the consent', { kind: 'consent', value: 'consent-1', before: TEST_NOW_S - 10 }, 'authority', 'consent_withdrawn'],
  [
    'the consent before this root was made',
    { kind: 'consent', value: 'consent-1', before: TEST_NOW_S - 11 },
    'authority',
    'accepted',
  ],
  [
    'consent versions below 4',
    { kind: 'consent', value: 'consent-1', before: 0, version: 4 },
    'authority',
    'consent_withdrawn',
  ],
  [
    'consent versions below 3',
    { kind: 'consent', value: 'consent-1', before: TEST_NOW_S, version: 3 },
    'authority',
    'accepted',
  ],
  [
    'the transaction',
    { kind: 'txn', value: Buffer.alloc(16, 7).toString('base64url'), before: TEST_NOW_S },
    'authority',
    'delegation_revoked',
  ],
  ['the client', { kind: 'client', value: 'shop-web', before: TEST_NOW_S }, 'authority', 'delegation_revoked'],
  ['the grant', { kind: 'grant', value: 'grant-1', before: TEST_NOW_S }, 'authority', 'delegation_revoked'],
  ['the root key', { kind: 'kid', value: 'root-1', before: TEST_NOW_S }, 'authority', 'delegation_revoked'],
  ['the root key, by the CA', { kind: 'kid', value: 'root-1', before: TEST_NOW_S }, 'ca', 'accepted'],
  ['the WIT key', { kind: 'kid', value: 'wit-1', before: TEST_NOW_S }, 'ca', 'delegation_revoked'],
  [
    'a workload in the middle',
    { kind: 'workload', value: id('storefront'), before: TEST_NOW_S - 600 },
    'ca',
    'delegation_revoked',
  ],
  [
    'a workload before its WIT was issued',
    { kind: 'workload', value: id('storefront'), before: TEST_NOW_S - 601 },
    'ca',
    'accepted',
  ],
  [
    'a workload, by the authority',
    { kind: 'workload', value: id('storefront'), before: TEST_NOW_S },
    'authority',
    'accepted',
  ],
  ['a WIT', { kind: 'wit', value: 'wit-of-orders', before: TEST_NOW_S }, 'ca', 'delegation_revoked'],
  [
    'a certificate',
    { kind: 'cert', value: mesh.workload('storefront').certificateS256, before: TEST_NOW_S },
    'ca',
    'delegation_revoked',
  ],
])('revoking %s: %o', (_, revocation, source, code) => {
  expect(codeOf(() => verify({ hops: TWO }, revoked(revocation, source)))).toBe(code);
});

test('keys that are being fetched answer with trust_unavailable, not with a bad signature', () => {
  const rootKey = () => {
    throw new BehalfError('trust_unavailable');
  };
  expect(codeOf(() => verify({ hops: TWO }, { rootKey }))).toBe('trust_unavailable');
});

test('a time error names both clocks and the measured skew', () => {
  const peer = { ...mesh.workload('orders'), skewS: -42 };
  try {
    verify({ hops: TWO }, { nowS: TEST_NOW_S + 65, peer });
    expect.unreachable();
  } catch (error) {
    expect((error as BehalfError).detail).toMatchObject({ exp: TEST_NOW_S + 60, nowS: TEST_NOW_S + 65, skewS: -42 });
  }
});

test('the first failing step decides: an expired, revoked, badly signed chain for another is for another', () => {
  const forgery: Forgery = { rootKey: mesh.workload('mallory').witKey, hops: TWO };
  const all = {
    ...revoked({ kind: 'client', value: 'shop-web', before: TEST_NOW_S }, 'authority'),
    nowS: TEST_NOW_S + 65,
  };
  expect(codeOf(() => verify(forgery, { ...all, me: id('inventory') }))).toBe('delegation_wrong_audience');
  expect(codeOf(() => verify(forgery, all))).toBe('delegation_expired');
  expect(codeOf(() => verify(forgery, { ...all, nowS: TEST_NOW_S }))).toBe('delegation_revoked');
  expect(codeOf(() => verify(forgery))).toBe('delegation_bad_signature');
});

test('a deferred root goes on at the depth where it stopped, and its workloads count in the list', () => {
  const deferred = {
    ref: 'd1',
    txn: Buffer.alloc(16, 1).toString('base64url'),
    depth: 2,
    wl: [id('payments'), id('ledger')],
  };
  const hops = (first: string): ForgedHop[] => [{ to: first, claims: { del_depth: 3 } }];
  const root = { tctx: { ...mesh.rootClaims().tctx, deferred } };
  expect(verify({ root, hops: hops('orders') }).depth).toBe(3);
  expect(codeOf(() => verify({ root, hops: [{ to: 'orders' }] }))).toBe('delegation_broken_chain');
  const twice = { tctx: { ...root.tctx, deferred: { ...deferred, wl: [id('orders'), id('ledger'), id('orders')] } } };
  expect(codeOf(() => verify({ root: twice, hops: hops('orders') }))).toBe('delegation_loop');
});

test('details narrow by the rule of their type, each parent’s entry used once, whatever their order', () => {
  const schema = {
    type: 'object',
    properties: { type: { const: 'credits' }, units: { type: 'integer', minimum: 1, maximum: 100 } },
    required: ['type', 'units'],
    additionalProperties: false,
  };
  const credits = {
    type: 'credits',
    title: 'Credits',
    words: 'Use {units}',
    schema,
    rules: { units: 'max' },
    spends: 'units',
  };
  const detailTypes = detailTypesOf([parseDetailType(credits)]);
  const details = (...limits: number[]) => limits.map((units) => ({ type: 'credits', units }));
  const run = (parent: number[], child: number[]) => {
    const forgery = {
      ...tctx({ authorization_details: details(...parent) }),
      ...{ hops: last({ authorization_details: details(...child) }).hops },
    };
    return codeOf(() => verify(forgery, { detailTypes }));
  };
  expect(run([10, 20], [20, 10])).toBe('accepted');
  expect(run([20, 10], [5, 15])).toBe('accepted');
  expect(run([20, 10], [15, 15])).toBe('delegation_scope_widened');
  expect(run([20], [5, 5])).toBe('delegation_scope_widened');
  expect(run([20], [0])).toBe('delegation_scope_widened');
  expect(run([20], [])).toBe('accepted');
});
