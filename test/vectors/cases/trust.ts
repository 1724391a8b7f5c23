import {
  asIs,
  bad,
  type ChainCase,
  highS,
  hopWithCounter,
  lastLink,
  lastWit,
  mallorysWitFor,
  prefixedHop,
  publicJwkOf,
  type Row,
  refusedCases,
  root,
  STRANGER,
  twoHops,
} from './case.ts';

const ROOT_KEY = 'A root is signed with a key that the authority publishes under its `kid`.';
const WIT_KEY = "A WIT is signed with a `wit-svid` key of its own trust domain's bundle.";
const LINK_KEY = 'A link is signed with the key that its WIT names.';
const SIZE = 'A signature of another size is a bad signature.';
const LOW_S = 'Signatures have s in the lower half of the order; verifiers refuse others.';
const HOP_SEEN = 'A hop id that was seen, or is older than its window, is `delegation_replayed`.';

const SIGNATURES: readonly Row[] = [
  [
    'link-signed-by-the-next',
    LINK_KEY,
    (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', key: mesh.workload('payments').witKey }] }),
    'delegation_bad_signature',
  ],
  [
    'first-link-of-another-key',
    LINK_KEY,
    () => ({ hops: [{ to: 'orders', key: STRANGER }, { to: 'payments' }] }),
    'delegation_bad_signature',
  ],
  [
    'link-signed-with-the-wit-key',
    LINK_KEY,
    (mesh) => ({ hops: [{ to: 'orders', key: mesh.witKey.key }] }),
    'delegation_bad_signature',
  ],
  [
    'link-signature-of-63-bytes',
    SIZE,
    () => ({ hops: [{ to: 'orders', edit: (link: string) => withSignature(link, (bytes) => bytes.subarray(1)) }] }),
    'delegation_bad_signature',
  ],
  [
    'link-signature-of-65-bytes',
    SIZE,
    () => ({
      hops: [
        {
          to: 'orders',
          edit: (link: string) => withSignature(link, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
        },
      ],
    }),
    'delegation_bad_signature',
  ],
  [
    'link-signature-of-zeros',
    LINK_KEY,
    () => ({ hops: [{ to: 'orders', edit: (link: string) => withSignature(link, () => Buffer.alloc(64)) }] }),
    'delegation_bad_signature',
  ],
  [
    'link-signature-in-der',
    SIZE,
    () => ({ hops: [{ to: 'orders', edit: (link: string) => withSignature(link, toDer) }] }),
    'delegation_bad_signature',
  ],
  ['wit-of-unknown-kid', WIT_KEY, lastWit({ header: { kid: 'wit-2' } }), 'delegation_bad_signature'],
  ['wit-named-by-a-root-key', WIT_KEY, lastWit({ header: { kid: 'root-1' } }), 'delegation_bad_signature'],
  [
    'wit-key-off-the-curve',
    'Its `x` and `y` are a point of P-256.',
    lastWit({ jwk: { x: Buffer.alloc(32, 5).toString('base64url') } }),
    'delegation_bad_signature',
  ],
  [
    'root-signed-with-the-wit-key',
    ROOT_KEY,
    (mesh) => ({ rootKey: mesh.witKey.key, hops: twoHops }),
    'delegation_bad_signature',
  ],
  [
    'root-named-by-a-wit-key',
    ROOT_KEY,
    (mesh) => ({ rootKey: mesh.witKey.key, rootHeader: { kid: 'wit-1' }, hops: twoHops }),
    'delegation_bad_signature',
  ],
];

export const TRUST_CASES: readonly ChainCase[] = [
  ...refusedCases(SIGNATURES),
  {
    name: 'wit-of-a-jwt-key',
    says: 'In the bundle only `use: wit-svid` counts.',
    chain: asIs,
    call: (mesh) => ({ bundle: { keys: [{ ...publicJwkOf(mesh.witKey), use: 'jwt-svid' }] } }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'root-key-for-encryption',
    says: 'A key that is not a P-256 key, or is for another `use` or `alg`, is passed over.',
    chain: asIs,
    call: (mesh) => ({ authority_jwks: { keys: [{ ...publicJwkOf(mesh.rootKey), use: 'enc' }] } }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'root-high-s',
    says: LOW_S,
    chain: asIs,
    edit: ({ txnToken }) => ({ txnToken: highS(txnToken) }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'wit-high-s',
    says: LOW_S,
    chain: (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: highS(mesh.workload('orders').wit) }] }),
    expect: bad('delegation_bad_signature'),
  },
  {
    name: 'wrong-route-of-other-case',
    says: '`rte` of the last link is the route that the receiver matched.',
    chain: lastLink(() => ({ rte: 'post /orders/{id}' })),
    expect: bad('delegation_wrong_route'),
  },
  {
    name: 'wrong-route-none-matched',
    says: '`rte` of the last link is the route that the receiver matched.',
    chain: lastLink(() => ({ rte: 'POST /orders/{id}' })),
    call: { route: null },
    expect: bad('delegation_wrong_route'),
  },
  {
    name: 'hop-at-the-edge-of-the-window',
    says: 'Older means that its counter is 65536 or more below the highest that was seen of its prefix.',
    chain: asIs,
    call: { seen_hops: [hopWithCounter(65_537)] },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-far-older-than-the-window',
    says: 'A hop id is 6 bytes drawn once a sending worker, then a 48-bit counter, most significant byte first.',
    chain: asIs,
    call: { seen_hops: [hopWithCounter(2 ** 47)] },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-seen-among-others',
    says: HOP_SEEN,
    chain: asIs,
    call: { seen_hops: [hopWithCounter(0), hopWithCounter(1), hopWithCounter(2)] },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-twice-with-another-parent',
    says: HOP_SEEN,
    chain: asIs,
    call: {
      delegation_hop: 'aG9wcHJlAAAAAAAB.cGFyZW50AAAAAAAB.cmVxdWVzdC1pZC0y',
      seen_hops: [hopWithCounter(1)],
    },
    expect: bad('delegation_replayed'),
  },
  {
    name: 'hop-prefixes-full',
    says: 'A store that is full refuses, and never forgets what could still be replayed.',
    chain: asIs,
    call: { seen_hops: Array.from({ length: 256 }, (_, i) => prefixedHop(i)) },
    expect: bad('delegation_replay_store_full'),
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

function withSignature(compact: string, change: (signature: Buffer) => Buffer): string {
  const at = compact.lastIndexOf('.') + 1;
  return compact.slice(0, at) + change(Buffer.from(compact.slice(at), 'base64url')).toString('base64url');
}

/** The other common form of an ECDSA signature, which JWS does not use. */
function toDer(signature: Buffer): Buffer {
  const integers = [signature.subarray(0, 32), signature.subarray(32)].map((bytes) => {
    const value = Buffer.concat([Buffer.alloc(1), bytes]);
    return Buffer.concat([Buffer.from([2, value.length]), value]);
  });
  const body = Buffer.concat(integers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}
