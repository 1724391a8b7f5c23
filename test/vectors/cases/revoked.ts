/** Step 4: what was taken back, and live state too old to tell. */
import type { VectorRevocation } from '../../../delegation/index.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import type { ErrorCode } from '../../../errors/index.ts';
import { asIs, bad, type ChainCase, context, id, SUB, twoHops } from './case.ts';

const ANSWER = 'A revocation of kind `consent` answers `consent_withdrawn`, every other kind `delegation_revoked`.';
const EVERY_SIGNER = '`wit`, `cert` and `kid` hit every signer, not the last one only.';

type RevocationRow = readonly [
  name: string,
  says: string,
  revocation: (mesh: TestMesh) => VectorRevocation,
  code: ErrorCode,
];
const REVOCATIONS: readonly RevocationRow[] = [
  [
    'revoked-txn',
    ANSWER,
    ({ nowS }) => ({ kind: 'txn', value: 'BwcHBwcHBwcHBwcHBwcHBw', before: nowS }),
    'delegation_revoked',
  ],
  ['revoked-client', ANSWER, ({ nowS }) => ({ kind: 'client', value: 'shop-web', before: nowS }), 'delegation_revoked'],
  [
    'revoked-grant',
    ANSWER,
    ({ nowS }) => ({ kind: 'grant', value: 'grant-1', before: nowS - 10 }),
    'delegation_revoked',
  ],
  [
    'revoked-root-key',
    ANSWER,
    ({ nowS }) => ({ kind: 'kid', value: 'root-1', before: nowS - 10 }),
    'delegation_revoked',
  ],
  [
    'revoked-wit-key',
    EVERY_SIGNER,
    ({ nowS }) => ({ kind: 'kid', value: 'wit-1', before: nowS - 600 }),
    'delegation_revoked',
  ],
  [
    'revoked-wit',
    EVERY_SIGNER,
    ({ nowS }) => ({ kind: 'wit', value: 'wit-of-orders', before: nowS }),
    'delegation_revoked',
  ],
  [
    'revoked-wit-in-the-middle',
    EVERY_SIGNER,
    ({ nowS }) => ({ kind: 'wit', value: 'wit-of-storefront', before: nowS }),
    'delegation_revoked',
  ],
  [
    'revoked-certificate-in-the-middle',
    EVERY_SIGNER,
    (mesh) => ({ kind: 'cert', value: mesh.workload('storefront').certificateS256, before: mesh.nowS }),
    'delegation_revoked',
  ],
  [
    'revoked-last-workload',
    '`workload` hits every signer of that SPIFFE ID, by the `iat` of its WIT.',
    (mesh) => ({ kind: 'workload', value: id(mesh, 'orders'), before: mesh.nowS }),
    'delegation_revoked',
  ],
  [
    'consent-version-alone',
    'Then the version alone decides.',
    () => ({ kind: 'consent', value: 'consent-1', before: 0, version: 9 }),
    'consent_withdrawn',
  ],
];

export const REVOKED_CASES: readonly ChainCase[] = [
  ...REVOCATIONS.map(([name, says, revocation, code]) => ({
    name,
    says,
    chain: asIs,
    call: (mesh: TestMesh) => ({ revocations: [revocation(mesh)] }),
    expect: bad(code),
  })),
  {
    name: 'revoked-deferred-grant',
    says: ANSWER,
    chain: (mesh) => ({
      ...context(() => ({
        deferred: { ref: 'grant-7', txn: Buffer.alloc(16, 3).toString('base64url'), depth: 0, wl: [] },
      }))(mesh),
      hops: twoHops,
    }),
    call: (mesh) => ({ revocations: [{ kind: 'deferred', value: 'grant-7', before: mesh.nowS }] }),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'revoked-twice-later-first',
    says: 'A revocation hits what was issued at or before its `before`.',
    chain: asIs,
    call: (mesh) => ({
      revocations: [
        { kind: 'client', value: 'shop-web', before: mesh.nowS },
        { kind: 'client', value: 'shop-web', before: mesh.nowS - 500 },
      ],
    }),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'revoked-twice-later-last',
    says: 'A revocation hits what was issued at or before its `before`.',
    chain: asIs,
    call: (mesh) => ({
      revocations: [
        { kind: 'client', value: 'shop-web', before: mesh.nowS - 500 },
        { kind: 'client', value: 'shop-web', before: mesh.nowS },
      ],
    }),
    expect: bad('delegation_revoked'),
  },
  {
    name: 'consent-by-version-and-by-time',
    says: 'Then the version alone decides.',
    chain: asIs,
    call: (mesh) => ({
      revocations: [
        { kind: 'consent', value: 'consent-1', before: mesh.nowS - 500 },
        { kind: 'consent', value: 'consent-1', before: 0, version: 2 },
        { kind: 'consent', value: 'consent-1', before: 0, version: 4 },
        { kind: 'consent', value: 'consent-1', before: 0, version: 1 },
      ],
    }),
    expect: bad('consent_withdrawn'),
  },
  {
    name: 'no-live-state',
    says: 'Live state older than its limit refuses every delegated call.',
    chain: asIs,
    call: { revocations_at: null },
    expect: bad('revocation_stale'),
  },
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
];
