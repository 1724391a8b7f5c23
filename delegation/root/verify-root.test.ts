import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import type { RootContext } from '../context.ts';
import { createRevocationSet } from '../revocation/index.ts';
import { createTestMesh, TEST_NOW_S } from '../test-mesh.ts';
import { mintRoot } from './mint-root.ts';
import type { RootClaims } from './root-claims.ts';
import { verifyRoot } from './verify-root.ts';

const mesh = createTestMesh();

function codeOf(claims: Partial<RootClaims>, changes: Partial<RootContext>, key = mesh.rootKey): string {
  try {
    verifyRoot(mintRoot(mesh.rootClaims(claims), key), mesh.context('storefront', 'storefront', changes));
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

test('a root gives its entry workload what the authority granted', () => {
  expect(mesh.root()).toMatchObject({
    kind: 'root',
    depth: 0,
    maxDepth: 8,
    clientId: 'shop-web',
    scope: ['orders:read', 'orders:write', 'payments:charge'],
    actors: [mesh.workload('storefront').spiffeId],
    expS: TEST_NOW_S + 110,
  });
});

test.each<[string, string, Partial<RootClaims>, Partial<RootContext>]>([
  ['for another entry workload', 'delegation_holder_mismatch', {}, { me: mesh.workload('orders').spiffeId }],
  ['from ahead', 'delegation_not_yet_valid', {}, { nowS: TEST_NOW_S - 41 }],
  ['past its end', 'delegation_expired', {}, { nowS: TEST_NOW_S + 115 }],
  ['of another issuer', 'delegation_bad_signature', { iss: 'https://elsewhere.example' }, {}],
  ['for another mesh', 'delegation_wrong_audience', { aud: 'https://api.example' }, {}],
  ['of an unknown key', 'delegation_bad_signature', {}, { rootKey: () => null }],
  ['another key signed', 'delegation_bad_signature', {}, { rootKey: () => mesh.witKey.key }],
])('a root %s is refused with %s', (_, code, claims, changes) => {
  expect(codeOf(claims, changes)).toBe(code);
});

test('a root whose consent was withdrawn is refused', () => {
  const set = createRevocationSet();
  set.add({ kind: 'consent', value: 'consent-1', before: TEST_NOW_S }, TEST_NOW_S + 600, 'authority');
  expect(codeOf({}, { revoked: (facts) => set.hit(facts) })).toBe('consent_withdrawn');
});

test('a root of 4097 characters is too large before it is parsed', () => {
  expect(() => verifyRoot('x'.repeat(4097), mesh.context('storefront', 'storefront'))).toThrow(/delegation_too_large/);
});
