/** When a link is sent again, and when a new one is made (WIRE section 1). */
import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { BUILT_IN_DETAIL_TYPES } from '../../../delegation/index.ts';
import { createTestMesh } from '../../../delegation/test-mesh.ts';
import type { IssuedIdentity } from '../../../identity/own/own-identity.ts';
import { createTestIssuer, type TestIdentity } from '../../../identity/testing/issuer.ts';
import { createLinkCache } from './links.ts';

const mesh = createTestMesh();
const to = mesh.workload('orders').spiffeId;
let identity: TestIdentity;

beforeAll(async () => {
  identity = await (await createTestIssuer('shop.example')).issue(mesh.workload('storefront').spiffeId);
});

const unlimited = {
  narrowTo: null,
  details: null,
  detailTypes: BUILT_IN_DETAIL_TYPES,
  divided: false,
  maxDepth: null,
  next: null,
  rte: null,
  once: null,
};

function signer(): IssuedIdentity {
  return { ...identity.current(), witExpS: mesh.nowS + 3_600 };
}

test('the same parent, receiver, narrowing and WIT give the same link while 5 s are left', () => {
  const links = createLinkCache(randomBytes);
  const order = { parent: mesh.root(), to, ...unlimited, signer: signer(), nowS: mesh.nowS };
  const first = links.get(order);
  expect(first.isNew).toBe(true);
  expect(links.get({ ...order, nowS: first.chain.expS - 5 })).toEqual({ chain: first.chain, isNew: false });
  expect(links.get({ ...order, nowS: first.chain.expS - 4 }).isNew).toBe(true);
});

test('another parent, receiver, narrowing or WIT gives another link', async () => {
  const links = createLinkCache(randomBytes);
  const order = { parent: mesh.root(), to, ...unlimited, signer: signer(), nowS: mesh.nowS };
  links.get(order);
  expect(links.get({ ...order, parent: mesh.root() }).isNew).toBe(true);
  expect(links.get({ ...order, to: mesh.workload('payments').spiffeId }).isNew).toBe(true);
  expect(links.get({ ...order, narrowTo: [] }).isNew).toBe(true);
  expect(links.get({ ...order, narrowTo: order.parent.scope.slice(0, 1) }).isNew).toBe(true);
  expect(links.get({ ...order, maxDepth: 2 }).isNew).toBe(true);
  expect(links.get({ ...order, details: [] }).isNew).toBe(true);
  expect(links.get({ ...order, details: [] }).isNew).toBe(false);
  expect(links.get({ ...order, next: [] }).isNew).toBe(true);
  expect(links.get({ ...order, next: [to] }).isNew).toBe(true);
  await identity.renew();
  expect(links.get({ ...order, signer: signer() }).isNew).toBe(true);
  expect(links.get(order).isNew).toBe(false);
  links.clear();
  expect(links.get(order).isNew).toBe(true);
});

test('a link that is bound to a route or good once is made for each call, and never sent instead of another', () => {
  const links = createLinkCache(randomBytes);
  const order = { parent: mesh.root(), to, ...unlimited, signer: signer(), nowS: mesh.nowS };
  const plain = links.get(order).chain;
  const bound = [{ rte: 'GET /a' }, { rte: 'GET /a', once: 'A'.repeat(43) }, { once: 'A'.repeat(43) }];
  for (const binding of bound) {
    const first = links.get({ ...order, ...binding });
    const second = links.get({ ...order, ...binding });
    expect([first.isNew, second.isNew]).toEqual([true, true]);
    expect(new Set([plain.jti, first.chain.jti, second.chain.jti]).size).toBe(3);
  }
  expect(links.get(order)).toEqual({ chain: plain, isNew: false });
});

test('a link with a part of what can be spent is never sent for a second call', () => {
  const links = createLinkCache(randomBytes);
  const order = {
    parent: mesh.root(),
    to,
    ...unlimited,
    details: [],
    divided: true,
    signer: signer(),
    nowS: mesh.nowS,
  };
  expect(links.get(order).isNew).toBe(true);
  expect(links.get(order).isNew).toBe(true);
});
