/** Two things wrong at once: the earlier step answers. */
import { bad, type ChainCase, id, lastHeader, lastLink, oneHop, root, STRANGER, SUB, twoHops } from './case.ts';

const FIRST = 'The first failure decides the code.';
const REVOKED_USER = (before: number) => ({ revocations: [{ kind: 'sub' as const, value: SUB, before }] });
const BROKEN = Buffer.alloc(32, 1).toString('base64url');

export const ORDER_CASES: readonly ChainCase[] = [
  {
    name: 'order-size-before-form',
    says: FIRST,
    chain: lastLink(() => ({ rte: 'x'.repeat(1200) })),
    edit: () => ({ txnToken: 'nonsense' }),
    expect: bad('delegation_too_large'),
  },
  {
    name: 'order-form-before-peer',
    says: FIRST,
    chain: lastLink(() => ({ wth: 1 })),
    call: { peer: null, peer_certificate: null },
    expect: bad('delegation_malformed'),
  },
  {
    name: 'order-hop-form-before-peer',
    says: FIRST,
    chain: () => ({ hops: twoHops }),
    call: { delegation_hop: '0', peer: null, peer_certificate: null },
    expect: bad('delegation_malformed'),
  },
  {
    name: 'order-root-form-before-link-version',
    says: FIRST,
    chain: () => ({ root: { scope: null }, ...lastHeader({ typ: 'dlglink-2+jwt' })() }),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'order-link-version-before-wit-form',
    says: FIRST,
    chain: lastHeader({ typ: 'dlglink-2+jwt' }),
    edit: ({ delegationCredentials }) => ({ delegationCredentials: `${delegationCredentials}!` }),
    expect: bad('delegation_unsupported'),
  },
  {
    name: 'order-peer-before-audience',
    says: FIRST,
    chain: () => ({ hops: twoHops }),
    call: (mesh) => ({ me: id(mesh, 'inventory'), peer: null, peer_certificate: null }),
    expect: bad('peer_unauthenticated'),
  },
  {
    name: 'order-audience-before-holder',
    says: FIRST,
    chain: () => ({ hops: twoHops }),
    call: (mesh) => ({ me: id(mesh, 'inventory'), peer: id(mesh, 'ledger') }),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'order-holder-before-hashes',
    says: FIRST,
    chain: () => ({ hops: [{ to: 'orders', by: 'mallory', claims: { par_hash: BROKEN } }, { to: 'payments' }] }),
    expect: bad('delegation_holder_mismatch'),
  },
  {
    name: 'order-hashes-before-depth',
    says: FIRST,
    chain: (mesh) => ({
      root: { tctx: { ...mesh.rootClaims().tctx, max_depth: 1 } },
      hops: [{ to: 'orders' }, { to: 'payments', claims: { par_hash: BROKEN } }],
    }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'order-depth-link-by-link',
    says: 'Depth, link by link.',
    chain: () => ({
      hops: [
        { to: 'orders', claims: { del_max_depth: 9 } },
        { to: 'payments', claims: { del_depth: 5 } },
      ],
    }),
    expect: bad('delegation_too_deep'),
  },
  {
    name: 'order-depth-before-loop',
    says: FIRST,
    chain: (mesh) => ({
      root: { tctx: { ...mesh.rootClaims().tctx, max_depth: 1 } },
      hops: [{ to: 'orders' }, { to: 'orders' }],
    }),
    expect: bad('delegation_too_deep'),
  },
  {
    name: 'order-loop-before-next',
    says: FIRST,
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { next: [id(mesh, 'ledger')] } }, { to: 'orders' }] }),
    expect: bad('delegation_loop'),
  },
  {
    name: 'order-jti-before-scope',
    says: FIRST,
    chain: lastLink(() => ({ jti: 'AAAAAQAAAAAAAAAA', scope: 'everything' })),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'order-scope-before-times',
    says: FIRST,
    chain: lastLink((mesh) => ({ scope: 'everything', exp: mesh.nowS + 61 })),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'order-root-ends-before-link-is-too-long',
    says: 'Times, object by object, root first.',
    chain: (mesh) => ({
      root: { iat: mesh.nowS - 100, exp: mesh.nowS - 5 },
      hops: [{ to: 'orders', claims: { exp: mesh.nowS + 100 } }],
    }),
    expect: bad('delegation_expired'),
  },
  {
    name: 'order-life-before-clock',
    says: 'Of each object in this order:',
    chain: root((mesh) => ({ iat: mesh.nowS + 100, exp: mesh.nowS + 401 })),
    expect: bad('delegation_malformed'),
  },
  {
    name: 'order-parent-before-end',
    says: 'Of each object in this order:',
    chain: (mesh) => ({ hops: [{ to: 'orders', claims: { iat: mesh.nowS - 60, exp: mesh.nowS - 5 } }] }),
    expect: bad('delegation_broken_chain'),
  },
  {
    name: 'order-times-before-live-state',
    says: FIRST,
    chain: () => ({ hops: twoHops }),
    call: (mesh) => ({ at: mesh.nowS + 65, revocations_at: null }),
    expect: bad('delegation_expired'),
  },
  {
    name: 'order-stale-before-revoked',
    says: 'Live state older than its limit refuses every delegated call.',
    chain: () => ({ hops: twoHops }),
    call: (mesh) => ({ revocations_at: mesh.nowS - 31, ...REVOKED_USER(mesh.nowS) }),
    expect: bad('revocation_stale'),
  },
  {
    name: 'order-revoked-before-signatures',
    says: FIRST,
    chain: () => ({ rootKey: STRANGER, hops: twoHops }),
    call: (mesh) => REVOKED_USER(mesh.nowS),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'order-root-key-before-issuer-and-audience',
    says: FIRST,
    chain: () => ({ rootKey: STRANGER, root: { aud: 'elsewhere' }, hops: twoHops }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'order-issuer-before-audience',
    says: "Then `iss` is the authority's issuer.",
    chain: root(() => ({ iss: 'https://elsewhere.example', aud: 'elsewhere' })),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'order-audience-before-link-signatures',
    says: FIRST,
    chain: () => ({ root: { aud: 'elsewhere' }, hops: [{ to: 'orders', key: STRANGER }] }),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'order-signatures-before-route',
    says: FIRST,
    chain: () => ({ hops: [{ to: 'orders', key: STRANGER, claims: { rte: 'POST /refunds' } }] }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'order-route-before-once',
    says: FIRST,
    chain: lastLink((mesh) => ({ rte: 'POST /refunds', once: mesh.workload('ledger').certificateS256 })),
    expect: bad('delegation_wrong_route'),
  },
  {
    name: 'order-pod-before-replay',
    says: FIRST,
    chain: lastLink((mesh) => ({ once: mesh.workload('ledger').certificateS256 })),
    call: { seen_jti: ['AAAAAgAAAAAAAAAA'] },
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'order-of-several-revocations',
    says: 'Where several hit, the first in the order of the table decides, the root before the signers,',
    chain: () => ({ hops: oneHop }),
    call: (mesh) => ({
      revocations: [
        { kind: 'consent', value: 'consent-1', before: mesh.nowS },
        { kind: 'client', value: 'shop-web', before: mesh.nowS },
      ],
    }),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'order-of-revocations-consent-before-grant',
    says: 'Where several hit, the first in the order of the table decides, the root before the signers,',
    chain: () => ({ hops: oneHop }),
    call: (mesh) => ({
      revocations: [
        { kind: 'workload', value: id(mesh, 'storefront'), before: mesh.nowS },
        { kind: 'grant', value: 'grant-1', before: mesh.nowS },
        { kind: 'consent', value: 'consent-1', before: mesh.nowS },
      ],
    }),
    expect: bad('consent_withdrawn'),
  },
];
