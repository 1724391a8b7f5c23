import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { parseChain } from '../chain/index.ts';
import { createTestMesh, TEST_NOW_S } from '../test-mesh.ts';
import type { VerifiedChain, VerifiedRoot } from '../verified.ts';
import type { LinkOrder, OutgoingChain } from './mint-link.ts';

const mesh = createTestMesh();
const root = mesh.root();
const signer = mesh.workload('storefront');
const claimsOf = (chain: OutgoingChain) => parseChain(chain).last.link.claims;

function codeOf(parent: VerifiedRoot | VerifiedChain, to: string, changes: Partial<LinkOrder> = {}): string {
  try {
    mesh.link(parent, to, changes);
    return 'signed';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

test('a link that narrows nothing has only the claims that it needs', () => {
  expect(Object.keys(claimsOf(mesh.link(root, 'orders')))).toEqual([
    'par_hash',
    'aud',
    'iat',
    'exp',
    'jti',
    'del_depth',
    'wth',
  ]);
  expect(claimsOf(mesh.link(root, 'orders', { narrowTo: root.scope })).scope).toBeUndefined();
  expect(claimsOf(mesh.link(root, 'orders', { narrowTo: [...root.scope].reverse() })).scope).toBeUndefined();
});

test('its receiver has exactly what was left', () => {
  const received = mesh.receive(mesh.link(root, 'orders', { narrowTo: ['orders:read'], maxDepth: 2 }));
  expect(received).toMatchObject({
    scope: ['orders:read'],
    maxDepth: 2,
    depth: 1,
    holder: mesh.workload('orders').spiffeId,
  });
  expect(mesh.receive(mesh.link(received, 'payments', { narrowTo: [] })).scope).toEqual([]);
});

test('both sides name the chain alike', () => {
  const outgoing = mesh.link(root, 'orders');
  expect(mesh.receive(outgoing).chainId).toEqual(outgoing.chainId);
});

test.each([
  ['60 s', {}, TEST_NOW_S + 60],
  ['its WIT’s end', { signer: { ...signer, witExpS: TEST_NOW_S + 20 } }, TEST_NOW_S + 20],
  ['its parent’s end', { nowS: TEST_NOW_S + 80 }, TEST_NOW_S + 110],
])('a link ends with the least of three: %s', (_, changes, expS) => {
  expect(mesh.link(root, 'orders', changes).expS).toBe(expS);
});

test('a link begins no earlier than a parent from ahead of our clock', () => {
  const { iat, exp } = claimsOf(mesh.link(root, 'orders', { nowS: TEST_NOW_S - 30 }));
  expect([iat, exp]).toEqual([TEST_NOW_S - 10, TEST_NOW_S + 50]);
});

test('a fraction of a second is cut, so that the link is not from the future', () => {
  expect(claimsOf(mesh.link(root, 'orders', { nowS: TEST_NOW_S + 0.9 })).iat).toBe(TEST_NOW_S);
});

test('nothing is signed when no time is left; the grace is for verifying only', () => {
  expect(codeOf(root, 'orders', { nowS: TEST_NOW_S + 110 })).toBe('delegation_expired');
  expect(codeOf(root, 'orders', { nowS: TEST_NOW_S + 109.5 })).toBe('signed');
  expect(codeOf(root, 'orders', { signer: { ...signer, witExpS: TEST_NOW_S } })).toBe('delegation_expired');
});

test('nothing is signed that the receiver would refuse', () => {
  const at = (name: string, parent: VerifiedRoot | VerifiedChain = root, changes: Partial<LinkOrder> = {}) =>
    mesh.receive(mesh.link(parent, name, changes));
  expect(codeOf(root, 'orders', { narrowTo: ['admin'] })).toBe('delegation_scope_widened');
  expect(codeOf(root, 'orders', { narrowTo: ['orders:read', 'orders:read'] })).toBe('delegation_malformed');
  expect(codeOf(root, 'storefront')).toBe('delegation_loop');
  expect(codeOf(root, 'orders', { maxDepth: 9 })).toBe('delegation_too_deep');
  expect(codeOf(at('orders', root, { maxDepth: 1 }), 'payments')).toBe('delegation_too_deep');
  expect(codeOf(at('orders', root, { next: [mesh.workload('payments').spiffeId] }), 'inventory')).toBe(
    'delegation_broken_chain',
  );
  expect(codeOf(root, 'orders', { signer: mesh.workload('mallory') })).toBe('delegation_holder_mismatch');
  expect(codeOf(root, 'orders', { to: parseSpiffeId('spiffe://other.example/bank') })).toBe('delegation_malformed');
  expect(codeOf(root, 'orders', { rte: `GET /${'x'.repeat(1200)}` })).toBe('delegation_too_large');
  expect(codeOf(root, 'orders', { jti: Buffer.alloc(11) })).toBe('delegation_malformed');
  expect(codeOf(root, 'orders', { details: [{ type: 'payment' }] })).toBe('delegation_scope_widened');
  expect(codeOf(at('orders', at('payments', at('orders'))), 'payments')).toBe('signed');
  expect(codeOf(at('orders', at('payments', at('orders'))), 'orders')).toBe('delegation_loop');
});

test('the ninth link is refused before it is signed', () => {
  let parent: VerifiedRoot | VerifiedChain = mesh.root({ tctx: { ...mesh.rootClaims().tctx, max_depth: 20 } });
  for (const name of ['orders', 'payments', 'inventory', 'ledger', 'orders', 'payments', 'inventory', 'ledger']) {
    parent = mesh.receive(mesh.link(parent, name));
  }
  expect(parent.depth).toBe(8);
  expect(codeOf(parent, 'mallory')).toBe('delegation_too_large');
});

test('a root is refused by a workload that it is not for, and by one for which it was changed', () => {
  const claims = mesh.rootClaims();
  expect(() => mesh.root({ sub: claims.req_wl, tctx: {} })).not.toThrow();
  expect(() => mesh.root({ sub: mesh.workload('orders').spiffeId, tctx: {} })).toThrow(/delegation_holder_mismatch/);
  expect(() => mesh.root({ exp: TEST_NOW_S + 600 })).toThrow(/delegation_malformed/);
  expect(() => mesh.root({ scope: 'a a' })).toThrow(/delegation_malformed/);
  expect(() => mesh.root({ tctx: { ...claims.tctx, purpose: 'x'.repeat(4000) } })).toThrow(/delegation_too_large/);
});
