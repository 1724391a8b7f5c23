/** `Explain` decides again under the snapshot of then and says on what. */
import { expect, test } from 'vitest';
import { buildSnapshot, compileSnapshot } from '../../policy/index.ts';
import { SHOP_FILES, SHOP_SOURCE } from '../../policy/testing/shop.ts';
import type { ExplainRequest } from '../../proto/behalf/decision/v1/decision.ts';
import { explain, type KeptSnapshots } from './explain.ts';

const OWNED = `@id("shop-calls")
@owner("team-policy")
@reason("users call through the shop")
permit(principal, action == Behalf::Action::"call", resource) when { context.own || context.subject like "u:*" };`;

const first = compileSnapshot(buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, 'calls.cedar': OWNED } }));
const second = compileSnapshot(
  buildSnapshot({
    files: { ...SHOP_FILES, 'calls.cedar': 'forbid(principal, action, resource);' },
    number: 2,
    issuedAtS: 1_800_000_060,
  }),
);
const state: KeptSnapshots = {
  snapshot: () => second,
  snapshotAt: (number) => [first, second].find((one) => one.number === number) ?? null,
};
const NOW_S = 1_800_000_100;
const id = (name: string): string => `spiffe://shop.example/${name}`;

const request: ExplainRequest = {
  call: {
    caller: id('storefront'),
    service: id('orders'),
    method: '',
    path: '',
    subject: 'u:AAAAAAAAAAAAAAAAAAAAAA',
    clientId: 'shop-web',
    scopes: ['orders:read'],
    purpose: '',
    consentId: 'c1',
    actors: [id('storefront')],
    depth: 1,
    resourceJson: '',
  },
  route: 'GET /v1/orders/{id}',
  snapshotNumber: 1,
  atUs: 1_800_000_010e6,
  entry: id('storefront'),
  entryRoute: 'POST /checkout',
};

test('an allowed call names the policies that allowed it, with owner and reason, and who owns both ends', () => {
  const explained = explain(request, state, NOW_S);
  expect(explained).toMatchObject({
    snapshotKnown: true,
    snapshotNumber: 1,
    snapshotInForce: 2,
    decision: { allow: true, code: '', policies: ['shop-calls'] },
    hasEdge: true,
    neededScopes: ['orders:read'],
    missingScopes: [],
    service: { name: 'orders', owner: 'team-orders', reason: 'order book' },
    caller: { name: 'storefront', owner: 'team-web' },
    entryCeiling: ['orders:read', 'orders:write', 'payments:charge'],
    entryRouteScopes: ['orders:write', 'orders:read', 'payments:charge'],
  });
  expect(explained.policies).toEqual([
    { id: 'shop-calls', effect: 'permit', owner: 'team-policy', reason: 'users call through the shop', text: OWNED },
  ]);
});

test('the same call under the snapshot in force is decided by that one', () => {
  const { decision, policies } = explain({ ...request, snapshotNumber: 0, atUs: 0 }, state, NOW_S);
  expect(decision).toMatchObject({ allow: false, code: 'policy_denied' });
  expect(policies).toMatchObject([{ id: 'calls#1', effect: 'forbid', owner: '', reason: '' }]);
});

test('missing scopes are named', () => {
  const call = { ...request.call!, scopes: ['orders:read'] };
  const explained = explain({ ...request, call, route: 'POST /v1/orders' }, state, NOW_S);
  expect(explained).toMatchObject({
    decision: { code: 'insufficient_scope' },
    neededScopes: ['orders:read', 'orders:write'],
    missingScopes: ['orders:write'],
  });
});

test('an edge that narrows says to what', () => {
  const call = { ...request.call!, caller: id('orders'), service: id('payments'), scopes: ['payments:charge'] };
  const explained = explain({ ...request, call, route: 'POST /shop.v1.Payments/Charge' }, state, NOW_S);
  expect(explained).toMatchObject({ hasEdge: true, edgeNarrows: true, edgeScopes: ['payments:charge'] });
});

test('a snapshot that is not kept is said to be unknown', () => {
  expect(explain({ ...request, snapshotNumber: 7 }, state, NOW_S)).toEqual({
    snapshotKnown: false,
    snapshotNumber: 7,
    snapshotInForce: 2,
  });
});

test('a route that the snapshot does not have is route_unknown', () => {
  expect(explain({ ...request, route: 'GET /elsewhere' }, state, NOW_S).decision).toMatchObject({
    code: 'route_unknown',
  });
});

test.each([
  ['no call', { call: null }],
  ['no SPIFFE ID', { call: { ...request.call!, caller: 'storefront' } }],
  ['an endless route', { route: 'x'.repeat(10_000) }],
])('%s is request_malformed', (_what, change) => {
  expect(() => explain({ ...request, ...change }, state, NOW_S)).toThrowError(
    expect.objectContaining({ code: 'request_malformed' }),
  );
});
