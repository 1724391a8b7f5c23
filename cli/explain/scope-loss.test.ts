/** A missing scope has one place where it was lost. */
import { expect, test } from 'vitest';
import { forge } from '../../delegation/test-forge.ts';
import { createTestMesh } from '../../delegation/test-mesh.ts';
import { viewChain } from '../chain/view-chain.ts';
import { findScopeLoss, type LossFacts } from './scope-loss.ts';

const mesh = createTestMesh();
const chain = viewChain(
  forge(mesh, {
    hops: [
      { to: 'orders', claims: { scope: 'orders:read payments:charge' } },
      { to: 'payments', claims: { scope: 'payments:charge' } },
      { to: 'ledger' },
    ],
  }),
);
const nothing: LossFacts = { consentScopes: null, entryRoute: null, entryCeiling: null, hopOf: () => null };

test('a scope that the root had was lost at the first link without it, and the hop of that link is named', () => {
  const hopOf = (from: string, to: string, depth: number): string =>
    `${from.split('/').at(-1)}-${to.split('/').at(-1)}-${depth}`;
  expect(findScopeLoss(chain, ['orders:write', 'orders:read'], { ...nothing, hopOf })).toMatchObject([
    { scope: 'orders:write', at: 'link', link: 1, hop: 'storefront-orders-1' },
    { scope: 'orders:read', at: 'link', link: 2, hop: 'orders-payments-2' },
  ]);
});

test.each<[string, Partial<LossFacts>, string]>([
  ['the consent does not give it', { consentScopes: ['orders:read'] }, 'consent'],
  ['the entry may not obtain it', { consentScopes: ['refunds:make'], entryCeiling: ['orders:read'] }, 'entry_ceiling'],
  [
    'the entry’s route does not pass it on',
    {
      consentScopes: ['refunds:make'],
      entryCeiling: ['refunds:make'],
      entryRoute: { name: 'POST /orders', scopes: [] },
    },
    'entry_route',
  ],
  ['nothing is known', {}, 'root'],
])('a scope that the root never had, where %s', (_what, facts, at) => {
  expect(findScopeLoss(chain, ['refunds:make'], { ...nothing, ...facts })).toMatchObject([
    { at, link: null, hop: null },
  ]);
});

test('a workload’s own root lacks what policy does not give it', () => {
  const own = mesh.workload('storefront').spiffeId;
  const root = { sub: own, scope: 'orders:read', tctx: {} };
  const view = viewChain(forge(mesh, { root, hops: [{ to: 'orders' }] }));
  expect(findScopeLoss(view, ['orders:write'], nothing)).toMatchObject([{ at: 'own' }]);
});
