/** Steps 4 to 8: what was taken back, who signed, and what binds the last link. */
import {
  asIs,
  bad,
  type ChainCase,
  highS,
  id,
  lastLink,
  mallorysWitFor,
  root,
  STRANGER,
  SUB,
  twoHops,
} from './case.ts';

export const TRUST_CASES: readonly ChainCase[] = [
  {
    name: 'stale',
    says: 'Live state older than its limit refuses every delegated call.',
    chain: asIs,
    call: (mesh) => ({ revocations_at: mesh.nowS - 31 }),
    expect: bad('revocation_stale'),
  },
  {
    name: 'consent-withdrawn',
    says: 'A revocation of kind `consent` answers `consent_withdrawn`, every other kind `delegation_revoked`.',
    chain: asIs,
    call: (mesh) => ({ revocations: [{ kind: 'consent', value: 'consent-1', before: mesh.nowS }] }),
    expect: bad('consent_withdrawn'),
  },
  {
    name: 'consent-narrowed',
    says: '`consent` may carry the lowest `version` that still counts instead.',
    chain: asIs,
    call: { revocations: [{ kind: 'consent', value: 'consent-1', before: 0, version: 4 }] },
    expect: bad('consent_withdrawn'),
  },
  {
    name: 'user-revoked',
    says: 'A revocation hits what was issued at or before its `before`.',
    chain: asIs,
    call: (mesh) => ({ revocations: [{ kind: 'sub', value: SUB, before: mesh.nowS - 10 }] }),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'middle-workload-revoked',
    says: '`workload` hits every signer of that SPIFFE ID, by the `iat` of its WIT.',
    chain: asIs,
    call: (mesh) => ({ revocations: [{ kind: 'workload', value: id(mesh, 'storefront'), before: mesh.nowS - 600 }] }),
    expect: bad('delegation_revoked'),
  },

  {
    name: 'root-of-another-key',
    says: 'A root is signed with a key that the authority publishes under its `kid`.',
    chain: () => ({ rootKey: STRANGER, hops: twoHops }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'root-of-unknown-kid',
    says: 'A root is signed with a key that the authority publishes under its `kid`.',
    chain: () => ({ rootHeader: { kid: 'root-2' }, hops: twoHops }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'root-of-another-issuer',
    says: "`iss` is the authority's issuer.",
    chain: root(() => ({ iss: 'https://elsewhere.example' })),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'root-for-another-mesh',
    says: "`aud` of a root is this trust domain's delegation audience.",
    chain: root(() => ({ aud: 'https://api.shop.example' })),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'wit-of-another-ca',
    says: "A WIT is signed with a `wit-svid` key of its own trust domain's bundle.",
    chain: (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: mallorysWitFor(mesh, 'orders') }] }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'link-of-another-key',
    says: 'A link is signed with the key that its WIT names.',
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'payments', key: STRANGER }] }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'high-s',
    says: 'Signatures have s in the lower half of the order; verifiers refuse others.',
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'payments', edit: highS }] }),
    expect: bad('delegation_bad_signature'),
  },

  {
    name: 'wrong-route',
    says: '`rte` of the last link is the route that the receiver matched.',
    chain: lastLink(() => ({ rte: 'POST /refunds' })),
    expect: bad('delegation_wrong_route'),
  },
  {
    name: 'once-for-another-pod',
    says: "`once` of the last link is the hash of the receiver's own certificate.",
    chain: lastLink((mesh) => ({ once: mesh.workload('inventory').certificateS256 })),
    expect: bad('delegation_wrong_audience'),
  },
  {
    name: 'once-twice',
    says: 'A `jti` of a link with `once` is taken once.',
    chain: lastLink((mesh) => ({ once: mesh.workload('payments').certificateS256 })),
    call: { seen_jti: ['AAAAAgAAAAAAAAAA'] },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-twice',
    says: 'A hop id that was seen, or is older than its window, is `delegation_replayed`.',
    chain: asIs,
    call: { seen_hops: ['aG9wcHJlAAAAAAAB'] },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-older-than-window',
    says: 'A hop id that was seen, or is older than its window, is `delegation_replayed`.',
    chain: asIs,
    call: { seen_hops: ['aG9wcHJlAAAAAQAB'] },
    expect: bad('delegation_replayed'),
  },
];
