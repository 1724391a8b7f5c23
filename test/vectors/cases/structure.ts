/** Step 3: what fails without any signature. */
import type { ForgedHop } from '../../../delegation/test-forge.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import {
  asIs,
  bad,
  type ChainCase,
  context,
  id,
  lastLink,
  names,
  type Row,
  refusedCases,
  root,
  twoHops,
  witFor,
} from './case.ts';

const COUNTS_ON = '`del_depth` is 1 for the first link and counts on by one.';
const LEAST = '`del_max_depth` is lower than or equal to the least depth limit so far.';
const NO_DEEPER = 'A chain is no deeper than the least depth limit so far.';
const LIST = 'No SPIFFE ID stands in the list more than twice.';
const SUBSET = "`scope` of a link is a subset of its parent's.";
const NEXT = 'Where a link has `next`, every later `aud` is one of its SPIFFE IDs.';
const RESUMED_NEXT = 'Where a deferred root has `next`, every `aud` is one of its SPIFFE IDs.';
const LINK_LIFE = 'The life of a link is more than 0 s and at most 60 s.';
const ROOT_LIFE = 'The life of a root is more than 0 s and at most 300 s.';
const TXN = Buffer.alloc(16, 3).toString('base64url');

const deferred =
  (depth: number, before: readonly string[], first: number, next?: readonly string[]) => (mesh: TestMesh) => ({
    ...context(() => ({
      deferred: {
        ref: 'grant-7',
        txn: TXN,
        depth,
        wl: before.map((name) => id(mesh, name)),
        ...(next === undefined ? {} : { next: next.map((name) => id(mesh, name)) }),
      },
    }))(mesh),
    hops: [
      { to: 'orders', claims: { del_depth: first } },
      { to: 'payments', claims: { del_depth: first + 1 } },
    ],
  });
const twoLinks = (first: ForgedHop['claims'], second: ForgedHop['claims']) => () => ({
  hops: [
    { to: 'orders', claims: first ?? {} },
    { to: 'payments', claims: second ?? {} },
  ],
});
const to = (...workloads: string[]) => ({ hops: workloads.map((name) => ({ to: name })) });

const ROWS: readonly Row[] = [
  ['depth-from-zero', COUNTS_ON, twoLinks({ del_depth: 0 }, { del_depth: 1 }), 'delegation_broken_chain'],
  ['depth-twice', COUNTS_ON, twoLinks({}, { del_depth: 1 }), 'delegation_broken_chain'],
  ['depth-without-deferred', "A deferred root's `depth` is added.", deferred(3, [], 1), 'delegation_broken_chain'],
  ['too-deep-deferred', NO_DEEPER, deferred(7, [], 8), 'delegation_too_deep'],
  ['too-deep-at-all', NO_DEEPER, context(() => ({ max_depth: 0 })), 'delegation_too_deep'],
  ['too-deep-for-an-ancestor', NO_DEEPER, twoLinks({ del_max_depth: 1 }, {}), 'delegation_too_deep'],
  [
    'too-deep-for-itself',
    'The link that states a limit is bound by it.',
    twoLinks({}, { del_max_depth: 1 }),
    'delegation_too_deep',
  ],
  ['depth-limit-raised-again', LEAST, twoLinks({ del_max_depth: 3 }, { del_max_depth: 4 }), 'delegation_too_deep'],
  [
    'depth-limit-above-the-root',
    LEAST,
    (mesh) => ({ ...context(() => ({ max_depth: 4 }))(mesh), ...twoLinks({}, { del_max_depth: 5 })() }),
    'delegation_too_deep',
  ],
  ['loop-back-to-entry', LIST, () => to('orders', 'storefront', 'orders', 'storefront'), 'delegation_loop'],
  ['loop-at-once', 'No two neighbours are equal.', () => to('storefront'), 'delegation_loop'],
  [
    'loop-over-a-deferral',
    'Those in `deferred.wl` count, too.',
    deferred(2, ['orders', 'orders'], 3),
    'delegation_loop',
  ],
  [
    'next-of-the-first-link',
    NEXT,
    (mesh) => ({
      hops: [{ to: 'orders', claims: { next: [id(mesh, 'payments')] } }, { to: 'payments' }, { to: 'ledger' }],
    }),
    'delegation_broken_chain',
  ],
  [
    'next-of-the-second-link',
    NEXT,
    (mesh) => ({
      hops: [
        { to: 'orders', claims: { next: [id(mesh, 'payments'), id(mesh, 'ledger')] } },
        { to: 'payments', claims: { next: [id(mesh, 'orders')] } },
        { to: 'ledger' },
      ],
    }),
    'delegation_broken_chain',
  ],
  [
    'next-of-a-deferred-root',
    RESUMED_NEXT,
    deferred(2, ['inventory'], 3, ['orders', 'ledger']),
    'delegation_broken_chain',
  ],
  ['next-of-a-deferred-root-empty', RESUMED_NEXT, deferred(2, ['inventory'], 3, []), 'delegation_broken_chain'],
  ['next-empty', NEXT, twoLinks({ next: [] }, {}), 'delegation_broken_chain'],
  [
    'jti-twice-not-neighbours',
    'No two links have the same `jti`.',
    () => ({ hops: [...names(2), { to: 'ledger', claims: { jti: 'AAAAAQAAAAAAAAAA' } }] }),
    'delegation_broken_chain',
  ],
  ['scope-widened-by-first-link', SUBSET, twoLinks({ scope: 'orders:read admin' }, {}), 'delegation_scope_widened'],
  [
    'scope-back-after-empty',
    'An empty `scope` leaves none.',
    twoLinks({ scope: '' }, { scope: 'orders:read' }),
    'delegation_scope_widened',
  ],
  [
    'scope-back-after-unchanged',
    'An absent `scope` leaves it unchanged.',
    () => ({
      hops: [
        { to: 'orders', claims: { scope: 'orders:read' } },
        { to: 'payments' },
        { to: 'ledger', claims: { scope: 'orders:write' } },
      ],
    }),
    'delegation_scope_widened',
  ],
  [
    'scope-of-other-case',
    'Tokens compare byte for byte; there are no wildcards.',
    twoLinks({ scope: 'Orders:read' }, {}),
    'delegation_scope_widened',
  ],
  [
    'scope-by-wildcard',
    'Tokens compare byte for byte; there are no wildcards.',
    (mesh) => ({ root: { ...mesh.rootClaims(), scope: 'orders:*' }, ...twoLinks({ scope: 'orders:read' }, {})() }),
    'delegation_scope_widened',
  ],
  [
    'details-from-nothing',
    'A type that is not registered cannot be narrowed.',
    twoLinks({}, { authorization_details: [{ type: 'account' }] }),
    'delegation_scope_widened',
  ],
  ['link-life-0-s', LINK_LIFE, lastLink((mesh) => ({ exp: mesh.nowS })), 'delegation_malformed'],
  ['link-life-negative', LINK_LIFE, lastLink((mesh) => ({ exp: mesh.nowS - 1 })), 'delegation_malformed'],
  ['root-life-0-s', ROOT_LIFE, root((mesh) => ({ iat: mesh.nowS, exp: mesh.nowS })), 'delegation_malformed'],
  ['root-life-of-years', ROOT_LIFE, root((mesh) => ({ exp: mesh.nowS + 315_360_000 })), 'delegation_malformed'],
  [
    'link-outlives-root',
    'A link begins no earlier and ends no later than its parent.',
    root((mesh) => ({ exp: mesh.nowS + 59 })),
    'delegation_broken_chain',
  ],
];

export const STRUCTURE_CASES: readonly ChainCase[] = [
  ...refusedCases(ROWS),
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
      root: { tctx: { ...mesh.rootClaims().tctx, authorization_details: [{ type: 'account' }] } },
      hops: [{ to: 'orders' }, { to: 'payments', claims: { authorization_details: [{ type: 'account' }] } }],
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
