/** Chains that verify, at the edges of what is allowed. */
import { ALL, asIs, type ChainCase, good, id, lastLink, names, oneHop, root } from './case.ts';

export const GOOD_CASES: readonly ChainCase[] = [
  {
    name: 'good-one-link',
    says: 'A chain has at least one link.',
    chain: () => ({ hops: oneHop }),
    expect: good(ALL, 1),
  },
  {
    name: 'good-two-links',
    says: 'Link 1 is signed by `req_wl`, link n by the `aud` of link n-1.',
    chain: asIs,
    expect: good(ALL, 2),
  },
  {
    name: 'good-eight-links',
    says: 'A chain has at most 8 links.',
    chain: () => ({ hops: names(8) }),
    expect: good(ALL, 8),
  },
  {
    name: 'good-narrowed-twice',
    says: "`scope` of a link is a subset of its parent's.",
    chain: () => ({
      hops: [
        { to: 'orders', claims: { scope: 'payments:charge orders:read' } },
        { to: 'payments', claims: { scope: 'payments:charge' } },
      ],
    }),
    expect: good('payments:charge', 2),
  },
  {
    name: 'good-empty-scope',
    says: 'An empty `scope` leaves none.',
    chain: lastLink(() => ({ scope: '' })),
    expect: good('', 2),
  },
  {
    name: 'good-own-root',
    says: 'A workload that acts for itself has a root whose `sub` is its SPIFFE ID.',
    chain: root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { max_depth: 4, purpose: 'nightly report' } })),
    expect: { ok: true, sub: 'spiffe://shop.example/ns/demo/sa/storefront', scope: ALL, depth: 2 },
  },
  {
    name: 'good-unknown-root-claim',
    says: 'Unknown members of roots and WITs are ignored.',
    chain: root(() => ({ later: { a: [1, 2] } })),
    expect: good(ALL, 2),
  },
  {
    name: 'good-visited-twice',
    says: 'No SPIFFE ID stands in the list more than twice.',
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'payments' }, { to: 'orders' }] }),
    expect: good(ALL, 3),
  },
  {
    name: 'good-next',
    says: 'Where a link has `next`, every later `aud` is one of its SPIFFE IDs.',
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { next: [id(mesh, 'payments')] } }, { to: 'payments' }] }),
    expect: good(ALL, 2),
  },
  {
    name: 'good-rte',
    says: '`rte` of the last link is the route that the receiver matched.',
    chain: lastLink(() => ({ rte: 'POST /orders/{id}' })),
    expect: good(ALL, 2),
  },
  {
    name: 'good-once',
    says: "`once` of the last link is the hash of the receiver's own certificate.",
    chain: lastLink((mesh) => ({ once: mesh.workload('payments').certificateS256 })),
    expect: good(ALL, 2),
  },
  {
    name: 'good-iat-30-s-ahead',
    says: "`iat` lies at most 30 s ahead of the verifier's clock.",
    chain: root((mesh) => ({ iat: mesh.nowS })),
    call: (mesh) => ({ at: mesh.nowS - 30, revocations_at: mesh.nowS - 30 }),
    expect: good(ALL, 2),
  },
  {
    name: 'good-4-s-after-its-end',
    says: 'A root or link is taken for less than 5 s after its `exp`.',
    chain: asIs,
    call: (mesh) => ({ at: mesh.nowS + 64, revocations_at: mesh.nowS + 64 }),
    expect: good(ALL, 2),
  },
  {
    name: 'good-reissued-after-revocation',
    says: 'A revocation hits what was issued at or before its `before`.',
    chain: asIs,
    call: (mesh) => ({ revocations: [{ kind: 'consent', value: 'consent-1', before: mesh.nowS - 11 }] }),
    expect: good(ALL, 2),
  },
];
