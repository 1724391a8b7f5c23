/** Step 3: what fails without any signature. */
import { asIs, bad, type ChainCase, id, lastLink, root, twoHops, witFor } from './case.ts';

export const STRUCTURE_CASES: readonly ChainCase[] = [
  {
    name: 'wrong-audience',
    says: "The last `aud` is the verifier's own SPIFFE ID.",
    chain: asIs,
    call: (mesh) => ({ me: id(mesh, 'inventory') }),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'stolen-chain',
    says: "The last WIT's `sub` is the SPIFFE ID of the TLS peer.",
    chain: asIs,
    call: (mesh) => ({ peer: id(mesh, 'inventory'), peer_certificate: mesh.workload('inventory').certificateS256 }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'stolen-key',
    says: 'Its `x5t#S256` is the certificate of this connection.',
    chain: asIs,
    call: (mesh) => ({ peer_certificate: mesh.workload('inventory').certificateS256 }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'spliced-signer',
    says: 'Link 1 is signed by `req_wl`, link n by the `aud` of link n-1.',
    chain: () => ({ hops: [{ to: 'orders', by: 'mallory' }, { to: 'payments' }] }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'dropped-hop',
    says: "`par_hash` is the hash of the parent's signing input.",
    chain: (mesh) => ({
      hops: [
        { to: 'orders', claims: { aud: id(mesh, 'orders') } },
        { to: 'payments', claims: { par_hash: Buffer.alloc(32, 1).toString('base64url') } },
      ],
    }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'other-wit',
    says: '`wth` is the hash of the WIT that came with the link.',
    chain: lastLink(() => ({ wth: Buffer.alloc(32, 1).toString('base64url') })),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'depth-skipped',
    says: '`del_depth` is 1 for the first link and counts on by one.',
    chain: lastLink(() => ({ del_depth: 3 })),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'too-deep-for-root',
    says: 'A chain is no deeper than the least depth limit so far.',
    chain: (mesh) => ({ root: { tctx: { ...mesh.rootClaims().tctx, max_depth: 1 } }, hops: twoHops }),
    expect: bad('delegation_too_deep'),
  },
  {
    name: 'depth-limit-raised',
    says: '`del_max_depth` is lower than or equal to the least depth limit so far.',
    chain: lastLink(() => ({ del_max_depth: 9 })),
    expect: bad('delegation_too_deep'),
  },
  {
    name: 'loop-three-times',
    says: 'No SPIFFE ID stands in the list more than twice.',
    chain: () => ({ hops: ['orders', 'payments', 'orders', 'payments', 'orders'].map((to) => ({ to })) }),
    expect: bad('delegation_loop'),
  },
  {
    name: 'loop-neighbours',
    says: 'No two neighbours are equal.',
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'orders' }] }),
    expect: bad('delegation_loop'),
  },
  {
    name: 'next-not-allowed',
    says: 'Where a link has `next`, every later `aud` is one of its SPIFFE IDs.',
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { next: [id(mesh, 'inventory')] } }, { to: 'payments' }] }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'jti-twice',
    says: 'No two links have the same `jti`.',
    chain: lastLink(() => ({ jti: 'AAAAAQAAAAAAAAAA' })),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'scope-widened',
    says: "`scope` of a link is a subset of its parent's.",
    chain: () => ({
      hops: [
        { to: 'orders', claims: { scope: 'orders:read' } },
        { to: 'payments', claims: { scope: 'orders:read payments:charge' } },
      ],
    }),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'details-of-unknown-type',
    says: 'A type that is not registered cannot be narrowed.',
    chain: (mesh) => ({
      root: { tctx: { ...mesh.rootClaims().tctx, authorization_details: [{ type: 'payment' }] } },
      hops: [{ to: 'orders' }, { to: 'payments', claims: { authorization_details: [{ type: 'payment' }] } }],
    }),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'link-life-61-s',
    says: 'The life of a link is more than 0 s and at most 60 s.',
    chain: lastLink((mesh) => ({ iat: mesh.nowS - 1, exp: mesh.nowS + 60 })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'root-life-301-s',
    says: 'The life of a root is more than 0 s and at most 300 s.',
    chain: root((mesh) => ({ iat: mesh.nowS - 10, exp: mesh.nowS + 291 })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'link-outlives-parent',
    says: 'A link begins no earlier and ends no later than its parent.',
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { exp: mesh.nowS + 30 } }, { to: 'payments' }] }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'not-yet-valid',
    says: "`iat` lies at most 30 s ahead of the verifier's clock.",
    chain: root((mesh) => ({ iat: mesh.nowS })),
    call: (mesh) => ({ at: mesh.nowS - 31, revocations_at: mesh.nowS - 31 }),
    expect: bad('delegation_not_yet_valid'),
  },
  {
    name: 'expired',
    says: 'A root or link is taken for less than 5 s after its `exp`.',
    chain: asIs,
    call: (mesh) => ({ at: mesh.nowS + 65, revocations_at: mesh.nowS + 65 }),
    expect: bad('delegation_expired'),
  },
  {
    name: 'link-before-its-parent',
    says: 'A link begins no earlier and ends no later than its parent.',
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { iat: mesh.nowS - 11, exp: mesh.nowS + 40 } }] }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'root-ahead-of-its-link',
    says: 'Times, object by object, root first.',
    chain: root((mesh) => ({ iat: mesh.nowS + 31 })),
    expect: bad('delegation_not_yet_valid'),
  },
  {
    name: 'link-not-yet-valid',
    says: "`iat` lies at most 30 s ahead of the verifier's clock.",
    chain: asIs,
    call: (mesh) => ({ at: mesh.nowS - 31, revocations_at: mesh.nowS - 31 }),
    expect: bad('delegation_not_yet_valid'),
  },
  {
    name: 'root-ended-before-its-link',
    says: 'Times, object by object, root first.',
    chain: root((mesh) => ({ iat: mesh.nowS - 100, exp: mesh.nowS - 5 })),
    expect: bad('delegation_expired'),
  },
  {
    name: 'link-before-its-wit',
    says: "A link begins no earlier than its WIT's `nbf` and ends no later than its `exp`.",
    chain: (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: witFor(mesh, 'orders', mesh.nowS + 61) }] }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'link-outlives-its-wit',
    says: "A link begins no earlier than its WIT's `nbf` and ends no later than its `exp`.",
    chain: (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: witFor(mesh, 'orders', mesh.nowS - 3541) }] }),
    expect: bad('delegation_broken_chain'),
  },
];
