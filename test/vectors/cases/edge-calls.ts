/** Good chains on calls at an edge: time, keys, live state, ids seen. */
import type { VectorRevocation } from '../../../delegation/index.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import {
  ALL,
  asIs,
  type ChainCase,
  good,
  hopWithCounter,
  id,
  oneHop,
  prefixedHop,
  publicJwkOf,
  STRANGER,
} from './case.ts';

const CALLS: readonly (readonly [name: string, says: string, call: NonNullable<ChainCase['call']>])[] = [
  [
    'good-clock-with-fractions',
    "A verifier's clock may have fractions; claims have none.",
    (mesh) => ({ at: mesh.nowS + 64.999, revocations_at: mesh.nowS + 64.5 }),
  ],
  [
    'good-live-state-30-s-old',
    'Live state older than its limit refuses every delegated call.',
    (mesh) => ({ revocations_at: mesh.nowS - 30 }),
  ],
  [
    'good-hop-with-a-parent',
    '`Delegation-Hop` is minted by the calling sidecar for every call and every retry,',
    { delegation_hop: 'aG9wcHJlAAAAAAAB.cGFyZW50AAAAAAAB.cmVxdWVzdC1pZC0x' },
  ],
  [
    'good-hop-late-within-the-window',
    'Older means that its counter is 65536 or more below the highest that was seen of its prefix.',
    { seen_hops: [hopWithCounter(65_536), hopWithCounter(2)] },
  ],
  [
    'good-hop-of-another-prefix',
    'The receiver keeps a window of 65536 ids a peer and prefix,',
    { seen_hops: [prefixedHop(1), prefixedHop(2)] },
  ],
  [
    'good-hop-of-one-of-256-prefixes',
    'A store that is full refuses, and never forgets what could still be replayed.',
    { seen_hops: [hopWithCounter(0), ...Array.from({ length: 255 }, (_, i) => prefixedHop(i))] },
  ],
  [
    'good-jti-seen-without-once',
    'A `jti` of a link with `once` is taken once.',
    { seen_jti: ['AAAAAgAAAAAAAAAA', 'AAAAAQAAAAAAAAAA'] },
  ],
  ['good-route-none-matched', '`rte` of the last link is the route that the receiver matched.', { route: null }],
  [
    'good-key-among-others',
    'A key that is not a P-256 key, or is for another `use` or `alg`, is passed over.',
    keysAmongOthers,
  ],
  [
    'good-revoked-another',
    'A revocation hits what was issued at or before its `before`.',
    (mesh) => ({ revocations: others(mesh) }),
  ],
  [
    'good-revoked-before-issue',
    'It hits what was issued at or before `before`, so that a clean replacement lives.',
    (mesh) => ({ revocations: earlier(mesh) }),
  ],
  [
    'good-consent-version-that-counts',
    '`consent` may carry the lowest `version` that still counts instead.',
    { revocations: [{ kind: 'consent', value: 'consent-1', before: 0, version: 3 }] },
  ],
  [
    'good-consent-version-alone',
    'Then the version alone decides.',
    (mesh) => ({ revocations: [{ kind: 'consent', value: 'consent-1', before: mesh.nowS, version: 3 }] }),
  ],
];

export const EDGE_CALL_CASES: readonly ChainCase[] = [
  ...CALLS.map(([name, says, call]) => ({ name, says, chain: asIs, call, expect: good(ALL, 2) })),
  {
    name: 'good-second-root-key',
    says: 'A root is signed with a key that the authority publishes under its `kid`.',
    chain: () => ({ rootKey: STRANGER, rootHeader: { kid: 'root-2' }, hops: oneHop }),
    call: (mesh) => ({
      authority_jwks: { keys: [publicJwkOf(mesh.rootKey), publicJwkOf({ kid: 'root-2', key: STRANGER })] },
    }),
    expect: good(ALL, 1),
  },
];

function keysAmongOthers(mesh: TestMesh): ReturnType<Extract<ChainCase['call'], (...args: never[]) => unknown>> {
  const odd = [{ kty: 'OKP', crv: 'Ed25519', x: 'AA', kid: 'root-1' }, { kty: 'RSA', kid: 'wit-1' }, { kid: 'x' }];
  return {
    authority_jwks: { keys: [...odd, { ...publicJwkOf(mesh.rootKey), use: 'sig', alg: 'ES256' }] },
    bundle: {
      keys: [
        { kty: 'EC', crv: 'P-256', use: 'x509-svid' },
        { ...publicJwkOf(mesh.rootKey), kid: 'wit-1', use: 'jwt-svid' },
        { ...publicJwkOf(mesh.witKey), use: 'wit-svid' },
      ],
    },
  };
}

/** One of each kind, of a value that this chain does not have. */
function others({ nowS }: TestMesh): readonly VectorRevocation[] {
  const kinds = ['txn', 'sub', 'client', 'consent', 'grant', 'deferred', 'kid', 'workload', 'wit', 'cert'] as const;
  return kinds.map((kind) => ({ kind, value: `another-${kind}`, before: nowS + 1000 }));
}

/** One of each kind, of this chain's values, from before they were issued. */
function earlier(mesh: TestMesh): readonly VectorRevocation[] {
  const { nowS } = mesh;
  const [root, wit] = [nowS - 11, nowS - 601];
  return [
    { kind: 'txn', value: 'BwcHBwcHBwcHBwcHBwcHBw', before: root },
    { kind: 'client', value: 'shop-web', before: root },
    { kind: 'consent', value: 'consent-1', before: root },
    { kind: 'grant', value: 'grant-1', before: root },
    { kind: 'kid', value: 'root-1', before: root },
    { kind: 'kid', value: 'wit-1', before: wit },
    { kind: 'workload', value: id(mesh, 'orders'), before: wit },
    { kind: 'wit', value: 'wit-of-orders', before: wit },
    { kind: 'cert', value: mesh.workload('storefront').certificateS256, before: wit },
  ];
}
