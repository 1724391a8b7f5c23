/** Step 1: headers and members of the three objects, each of them missing, of another type, or odd. */
import {
  bad,
  type ChainCase,
  context,
  id,
  lastHeader,
  lastLink,
  lastWit,
  type Row,
  refusedCases,
  root,
  twoHops,
} from './case.ts';

const TYPES = 'A member of another JSON type is malformed.';
const HEADER = 'A header of other members or values is malformed.';
const BASE64URL = 'Base64url is unpadded and canonical.';
const SPIFFE = 'SPIFFE IDs are canonical and at most 255 bytes.';
const SCOPE = 'A scope value is a list of RFC 6749 scope tokens joined by one space, or empty.';
const OWN = 'Its `tctx` has at most `max_depth` and `purpose`.';
const WIT_FORM = 'The CA vouches for the key that signs links';
const DOMAIN = 'All SPIFFE IDs of a chain are of one trust domain.';
const LONG = `spiffe://shop.example/${'x'.repeat(234)}`;
const FOREIGN = 'spiffe://other.example/ns/demo/sa/bank';

const rootWith = (changes: Record<string, unknown>) => root(() => changes);
const rootHead = (rootHeader: Record<string, unknown>) => () => ({ rootHeader, hops: twoHops });
const bytes = (count: number) => Buffer.alloc(count, 3).toString('base64url');
const missing = (names: readonly string[]) => names.map((name) => [name, { [name]: undefined }] as const);
const deferred = (changes: Record<string, unknown>) =>
  context(() => ({ deferred: { ref: 'grant-7', txn: bytes(16), depth: 1, wl: [], ...changes } }));

const ROOT: readonly Row[] = [
  ...missing(['iss', 'aud', 'iat', 'exp', 'txn', 'sub', 'scope', 'req_wl', 'tctx']).map(
    ([name, without]): Row => [`malformed-root-without-${name}`, TYPES, rootWith(without), 'delegation_malformed'],
  ),
  ...missing(['client_id', 'consent', 'grant', 'purpose']).map(
    ([name, without]): Row => [
      `malformed-root-without-${name}`,
      "`tctx` of a user's root has",
      context(() => without),
      'delegation_malformed',
    ],
  ),
  ['malformed-root-empty-iss', TYPES, rootWith({ iss: '' }), 'delegation_malformed'],
  [
    'malformed-root-aud-is-a-list',
    TYPES,
    rootWith({ aud: ['spiffe://shop.example/behalf/delegation'] }),
    'delegation_malformed',
  ],
  ['malformed-root-iat-is-a-text', TYPES, rootWith({ iat: '1800000000' }), 'delegation_malformed'],
  ['malformed-root-txn-of-15-bytes', BASE64URL, rootWith({ txn: bytes(15) }), 'delegation_malformed'],
  ['malformed-root-sub-of-17-bytes', BASE64URL, rootWith({ sub: `u:${bytes(17)}` }), 'delegation_malformed'],
  [
    'malformed-root-sub-is-a-name',
    "the user's pseudonym, or a workload that acts for itself",
    rootWith({ sub: 'alice' }),
    'delegation_malformed',
  ],
  [
    'malformed-root-sub-upper-case',
    "the user's pseudonym, or a workload that acts for itself",
    rootWith({ sub: `U:${bytes(16)}` }),
    'delegation_malformed',
  ],
  ['malformed-rctx-null', 'A member is absent, never null.', rootWith({ rctx: null }), 'delegation_malformed'],
  ['malformed-scope-two-spaces', SCOPE, rootWith({ scope: 'orders:read  orders:write' }), 'delegation_malformed'],
  ['malformed-scope-leading-space', SCOPE, rootWith({ scope: ' orders:read' }), 'delegation_malformed'],
  ['malformed-scope-quote', SCOPE, rootWith({ scope: 'orders:"read"' }), 'delegation_malformed'],
  ['malformed-scope-not-ascii', SCOPE, rootWith({ scope: 'pedidos:año' }), 'delegation_malformed'],
  [
    'malformed-spiffe-id-without-path',
    'A SPIFFE ID has a path.',
    rootWith({ req_wl: 'spiffe://shop.example' }),
    'delegation_malformed',
  ],
  [
    'malformed-spiffe-id-trailing-slash',
    SPIFFE,
    rootWith({ req_wl: 'spiffe://shop.example/a/' }),
    'delegation_malformed',
  ],
  ['malformed-spiffe-id-dots', SPIFFE, rootWith({ req_wl: 'spiffe://shop.example/a/../b' }), 'delegation_malformed'],
  ['malformed-spiffe-id-percent', SPIFFE, rootWith({ req_wl: 'spiffe://shop.example/%61' }), 'delegation_malformed'],
  ['malformed-spiffe-id-upper-case', SPIFFE, rootWith({ req_wl: 'spiffe://Shop.example/a' }), 'delegation_malformed'],
  ['malformed-spiffe-id-scheme', SPIFFE, rootWith({ req_wl: 'SPIFFE://shop.example/a' }), 'delegation_malformed'],
  ['malformed-spiffe-id-port', SPIFFE, rootWith({ req_wl: 'spiffe://shop.example:80/a' }), 'delegation_malformed'],
  ['malformed-spiffe-id-query', SPIFFE, rootWith({ req_wl: 'spiffe://shop.example/a?b' }), 'delegation_malformed'],
  ['malformed-spiffe-id-256-bytes', SPIFFE, lastLink(() => ({ next: [LONG] })), 'delegation_malformed'],
  [
    'malformed-consent-version-text',
    TYPES,
    context(() => ({ consent: { id: 'consent-1', version: '3' } })),
    'delegation_malformed',
  ],
  [
    'malformed-consent-without-version',
    TYPES,
    context(() => ({ consent: { id: 'consent-1' } })),
    'delegation_malformed',
  ],
  ['malformed-empty-client', TYPES, context(() => ({ client_id: '' })), 'delegation_malformed'],
  ['malformed-acr-number', TYPES, context(() => ({ acr: 2 })), 'delegation_malformed'],
  ['malformed-max-depth-text', TYPES, context(() => ({ max_depth: '8' })), 'delegation_malformed'],
  ['malformed-deferred-without-wl', TYPES, deferred({ wl: undefined }), 'delegation_malformed'],
  ['malformed-deferred-next-no-list', TYPES, deferred({ next: 'orders' }), 'delegation_malformed'],
  ['malformed-deferred-next-no-id', TYPES, deferred({ next: ['orders'] }), 'delegation_malformed'],
  ['malformed-deferred-ref-empty', TYPES, deferred({ ref: '' }), 'delegation_malformed'],
  [
    'malformed-details-without-type',
    'objects, each with a `type` that is a text and not empty',
    context(() => ({ authorization_details: [{ amount: 5 }] })),
    'delegation_malformed',
  ],
  [
    'malformed-details-empty-type',
    'objects, each with a `type` that is a text and not empty',
    context(() => ({ authorization_details: [{ type: '' }] })),
    'delegation_malformed',
  ],
  [
    'malformed-details-no-list',
    TYPES,
    context(() => ({ authorization_details: { type: 'payment' } })),
    'delegation_malformed',
  ],
  [
    'malformed-own-root-with-client',
    OWN,
    root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { client_id: 'shop-web' } })),
    'delegation_malformed',
  ],
  [
    'malformed-own-root-purpose-number',
    TYPES,
    root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { purpose: 1 } })),
    'delegation_malformed',
  ],
  [
    'malformed-own-root-with-details',
    OWN,
    root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { authorization_details: [] } })),
    'delegation_malformed',
  ],
  [
    'malformed-own-root-with-null-grant',
    OWN,
    root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: { grant: null } })),
    'delegation_malformed',
  ],
];

const HEADERS: readonly Row[] = [
  ['malformed-alg-none', HEADER, lastHeader({ alg: 'none' }), 'delegation_malformed'],
  ['malformed-alg-hs256', HEADER, lastHeader({ alg: 'HS256' }), 'delegation_malformed'],
  ['malformed-alg-lower-case', HEADER, rootHead({ alg: 'es256' }), 'delegation_malformed'],
  ['malformed-alg-missing', HEADER, rootHead({ alg: undefined }), 'delegation_malformed'],
  ['malformed-jwk-in-header', HEADER, lastHeader({ jwk: { kty: 'EC' } }), 'delegation_malformed'],
  ['malformed-kid-in-link-header', HEADER, lastHeader({ kid: 'wit-1' }), 'delegation_malformed'],
  ['malformed-crit-in-header', HEADER, rootHead({ crit: ['exp'] }), 'delegation_malformed'],
  ['malformed-x5c-in-header', HEADER, lastWit({ header: { x5c: 'AAAA' } }), 'delegation_malformed'],
  ['malformed-kid-missing', HEADER, rootHead({ kid: undefined }), 'delegation_malformed'],
  ['malformed-kid-empty', HEADER, rootHead({ kid: '' }), 'delegation_malformed'],
  [
    'malformed-kid-number',
    'Headers have exactly the members named here, all of them strings.',
    rootHead({ kid: 1 }),
    'delegation_malformed',
  ],
  ['malformed-root-typ-jwt', HEADER, rootHead({ typ: 'JWT' }), 'delegation_malformed'],
  ['malformed-root-typ-upper-case', HEADER, rootHead({ typ: 'TXNTOKEN+JWT' }), 'delegation_malformed'],
  [
    'malformed-root-batch-signed',
    'a private name, for links only',
    rootHead({ alg: 'ES256+MT' }),
    'delegation_malformed',
  ],
  [
    'malformed-wit-batch-signed',
    'a private name, for links only',
    lastWit({ header: { alg: 'ES256+MT' } }),
    'delegation_malformed',
  ],
  ['malformed-wit-typ', HEADER, lastWit({ header: { typ: 'JWT' } }), 'delegation_malformed'],
  ['malformed-link-typ-missing', HEADER, lastHeader({ typ: undefined }), 'delegation_malformed'],
  ['malformed-link-version-0', HEADER, lastHeader({ typ: 'dlglink-0+jwt' }), 'delegation_malformed'],
  ['malformed-link-version-01', HEADER, lastHeader({ typ: 'dlglink-01+jwt' }), 'delegation_malformed'],
  ['malformed-link-version-letter', HEADER, lastHeader({ typ: 'dlglink-x+jwt' }), 'delegation_malformed'],
  ['malformed-link-without-version', HEADER, lastHeader({ typ: 'dlglink-+jwt' }), 'delegation_malformed'],
  [
    'unsupported-version',
    'A link whose `typ` is `dlglink-N+jwt` of another N is unsupported.',
    lastHeader({ typ: 'dlglink-2+jwt' }),
    'delegation_unsupported',
  ],
  [
    'unsupported-version-10',
    'A link whose `typ` is `dlglink-N+jwt` of another N is unsupported.',
    lastHeader({ typ: 'dlglink-10+jwt' }),
    'delegation_unsupported',
  ],
  [
    'unsupported-version-other-header',
    'What else its header holds does not matter then.',
    lastHeader({ typ: 'dlglink-2+jwt', alg: 1, kid: 'x' }),
    'delegation_unsupported',
  ],
  [
    'unsupported-batch',
    '`ES256+MT` where it is off is unsupported.',
    lastHeader({ alg: 'ES256+MT' }),
    'delegation_unsupported',
  ],
];

const LINK: readonly Row[] = [
  ...missing(['par_hash', 'aud', 'iat', 'exp', 'jti', 'del_depth', 'wth']).map(
    ([name, without]): Row => [
      `malformed-link-without-${name}`,
      TYPES,
      lastLink(() => without),
      'delegation_malformed',
    ],
  ),
  [
    'malformed-unknown-link-member',
    'Any other member of a link is malformed, since a restriction that is not understood must not be ignored.',
    lastLink(() => ({ only_on_mondays: true })),
    'delegation_malformed',
  ],
  [
    'malformed-link-member-of-a-root',
    'Any other member of a link is malformed, since a restriction that is not understood must not be ignored.',
    lastLink(() => ({ sub: `u:${bytes(16)}` })),
    'delegation_malformed',
  ],
  ['malformed-member-type', TYPES, lastLink(() => ({ del_depth: '2' })), 'delegation_malformed'],
  ['malformed-null', 'A member is absent, never null.', lastLink(() => ({ scope: null })), 'delegation_malformed'],
  ['malformed-null-next', 'A member is absent, never null.', lastLink(() => ({ next: null })), 'delegation_malformed'],
  [
    'malformed-scope-twice',
    'A scope value names each token once.',
    lastLink(() => ({ scope: 'orders:read orders:read' })),
    'delegation_malformed',
  ],
  ['malformed-scope-is-a-list', TYPES, lastLink(() => ({ scope: ['orders:read'] })), 'delegation_malformed'],
  [
    'malformed-link-aud-is-a-list',
    TYPES,
    lastLink((mesh) => ({ aud: [id(mesh, 'payments')] })),
    'delegation_malformed',
  ],
  ['malformed-jti-of-16-bytes', BASE64URL, lastLink(() => ({ jti: bytes(16) })), 'delegation_malformed'],
  ['malformed-par-hash-of-31-bytes', BASE64URL, lastLink(() => ({ par_hash: bytes(31) })), 'delegation_malformed'],
  [
    'malformed-txn-unused-bits',
    'Bits of the last character that stand for no byte are zero.',
    rootWith({ txn: `${'A'.repeat(21)}B` }),
    'delegation_malformed',
  ],
  [
    'malformed-par-hash-unused-bits',
    'Bits of the last character that stand for no byte are zero.',
    lastLink(() => ({ par_hash: `${'A'.repeat(42)}B` })),
    'delegation_malformed',
  ],
  ['malformed-wth-in-hex', BASE64URL, lastLink(() => ({ wth: 'ab'.repeat(32) })), 'delegation_malformed'],
  ['malformed-next-is-a-text', TYPES, lastLink((mesh) => ({ next: id(mesh, 'ledger') })), 'delegation_malformed'],
  ['malformed-next-no-spiffe-id', SPIFFE, lastLink(() => ({ next: ['ledger'] })), 'delegation_malformed'],
  ['malformed-rte-is-a-list', TYPES, lastLink(() => ({ rte: ['POST', '/orders/{id}'] })), 'delegation_malformed'],
  ['malformed-once-true', TYPES, lastLink(() => ({ once: true })), 'delegation_malformed'],
  ['malformed-del-max-depth-true', TYPES, lastLink(() => ({ del_max_depth: true })), 'delegation_malformed'],
  [
    'malformed-link-details-are-texts',
    TYPES,
    lastLink(() => ({ authorization_details: ['payment'] })),
    'delegation_malformed',
  ],
];

const WIT: readonly Row[] = [
  ...missing(['sub', 'iat', 'nbf', 'exp', 'jti', 'cnf']).map(
    ([name, claims]): Row => [`malformed-wit-without-${name}`, WIT_FORM, lastWit({ claims }), 'delegation_malformed'],
  ),
  ['malformed-wit-empty-jti', WIT_FORM, lastWit({ claims: { jti: '' } }), 'delegation_malformed'],
  ['malformed-wit-without-jwk', WIT_FORM, lastWit({ cnf: { jwk: undefined } }), 'delegation_malformed'],
  ['malformed-wit-without-certificate', WIT_FORM, lastWit({ cnf: { 'x5t#S256': undefined } }), 'delegation_malformed'],
  ['malformed-wit-kty', WIT_FORM, lastWit({ jwk: { kty: 'OKP' } }), 'delegation_malformed'],
  ['malformed-wit-crv', WIT_FORM, lastWit({ jwk: { crv: 'P-384' } }), 'delegation_malformed'],
  ['malformed-wit-without-alg', WIT_FORM, lastWit({ jwk: { alg: undefined } }), 'delegation_malformed'],
  ['malformed-wit-x-of-31-bytes', WIT_FORM, lastWit({ jwk: { x: bytes(31) } }), 'delegation_malformed'],
  ['malformed-wit-kid-empty', HEADER, lastWit({ header: { kid: '' } }), 'delegation_malformed'],
];

const DOMAINS: readonly Row[] = [
  ['malformed-two-trust-domains', DOMAIN, lastLink(() => ({ next: [FOREIGN] })), 'delegation_malformed'],
  ['malformed-aud-of-another-domain', DOMAIN, lastLink(() => ({ aud: FOREIGN })), 'delegation_malformed'],
  ['malformed-sub-of-another-domain', DOMAIN, root(() => ({ sub: FOREIGN, tctx: {} })), 'delegation_malformed'],
  ['malformed-wl-of-another-domain', DOMAIN, deferred({ wl: [FOREIGN] }), 'delegation_malformed'],
  ['malformed-deferred-next-of-another-domain', DOMAIN, deferred({ next: [FOREIGN] }), 'delegation_malformed'],
  ['malformed-wit-of-another-domain', DOMAIN, lastWit({ claims: { sub: FOREIGN } }), 'delegation_malformed'],
];

export const MEMBER_CASES: readonly ChainCase[] = [
  ...refusedCases([...ROOT, ...HEADERS, ...LINK, ...WIT, ...DOMAINS]),
  {
    name: 'unsupported-link-before-malformed-link',
    says: 'Within a check the lowest link comes first, and each check goes over all objects before the next begins.',
    chain: () => ({
      hops: [
        { to: 'orders', header: { typ: 'dlglink-2+jwt' } },
        { to: 'payments', claims: { iat: null } },
      ],
    }),
    expect: bad('delegation_unsupported'),
  },
  {
    name: 'malformed-json-of-another-version',
    says: "Both are judged after the link's JSON and before its members.",
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'payments', header: { typ: 'dlglink-2+jwt' }, text: () => '{' }] }),
    expect: bad('delegation_malformed'),
  },
];
