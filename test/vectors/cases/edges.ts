import type { Forgery } from '../../../delegation/test-forge.ts';
import type { TestMesh } from '../../../delegation/test-mesh.ts';
import {
  ALL,
  adding,
  type ChainCase,
  context,
  good,
  id,
  lastLink,
  lastText,
  lastWit,
  root,
  rootText,
  twoHops,
  witFor,
} from './case.ts';
import { elements, members } from './json.ts';
import { chainOfSize, linkOfSize } from './sizes.ts';

type Row = readonly [name: string, says: string, chain: ChainCase['chain'], scope?: string, depth?: number];

const TXN = Buffer.alloc(16, 3).toString('base64url');
const RESUMED_NEXT = 'Where a deferred root has `next`, every `aud` is one of its SPIFFE IDs.';
const IGNORED = 'This holds for members of `tctx`, `consent`, `deferred`, `cnf` and `jwk` too.';
const COUNTS = 'An object has at most 64 members, and an array has at most 64 elements.';
const DEPTH = 'JSON is nested at most 6 deep in a root and 5 deep in links and WITs, the outermost being 1.';
const EARLIER = '`rte` and `once` of earlier links bind nobody any more.';
const NESTED = 'A link begins no earlier and ends no later than its parent.';
const WIT_TIME = "A link begins no earlier than its WIT's `nbf` and ends no later than its `exp`.";
const NEXT = 'Where a link has `next`, every later `aud` is one of its SPIFFE IDs.';
const LONGEST = `spiffe://shop.example/${'x'.repeat(233)}`;
const ODD_TOKENS = '! # $ [ ] ~ a{b}|c `';

const deferredChain =
  (next?: readonly string[]) =>
  (mesh: TestMesh): Forgery => {
    const deferred = {
      ref: 'grant-7',
      txn: TXN,
      depth: 3,
      wl: ['orders', 'ledger', 'inventory'].map((name) => id(mesh, name)),
      ...(next === undefined ? {} : { next: next.map((name) => id(mesh, name)) }),
    };
    return {
      ...context(() => ({ deferred }))(mesh),
      hops: [
        { to: 'orders', claims: { del_depth: 4 } },
        { to: 'payments', claims: { del_depth: 5 } },
      ],
    };
  };

const ROWS: readonly Row[] = [
  [
    'good-json-white-space',
    'White space between tokens is allowed, and counts for every hash.',
    rootText((json) => ` \r\n\t${json.replaceAll('":', '" : ')}\n`),
  ],
  [
    'good-json-escapes',
    'JSON is RFC 8259, and stricter:',
    lastText((json) => json.replaceAll('/', '\\/').replace('"aud"', '"\\u0061ud"')),
  ],
  [
    'good-json-escapes-in-capitals',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\\u00AF\\u00af\\b\\f\\n\\r\\t\\\\\\/\\"","other":[true,false,null]')),
  ],
  ['good-surrogate-pair', 'no half of a surrogate pair.', rootText(adding('"later":"\\ud83d\\ude00 😀"'))],
  ['good-64-members', COUNTS, rootText(adding(members(64)))],
  ['good-64-elements', COUNTS, rootText(adding(elements(64)))],
  ['good-depth-of-json', DEPTH, root(() => ({ later: [[[[[]]]]] }))],
  ['good-depth-of-json-in-wit', DEPTH, lastWit({ claims: { later: [[[[]]]] } })],
  [
    'good-largest-integer',
    'Every number is an integer written in digits only and below 2^53.',
    rootText(adding('"later":9007199254740991')),
  ],
  [
    'good-prototype-names',
    'Unknown members of roots and WITs are ignored.',
    rootText(adding('"__proto__":{"sub":1},"constructor":0,"toString":"x"')),
  ],
  ['good-null-in-ignored-member', 'Unknown members of roots and WITs are ignored.', rootText(adding('"later":null'))],
  ['good-unknown-tctx-member', IGNORED, context(() => ({ later: true }))],
  ['good-unknown-consent-member', IGNORED, context(() => ({ consent: { id: 'consent-1', version: 3, later: 1 } }))],
  [
    'good-unknown-wit-member',
    'Unknown members of roots and WITs are ignored.',
    lastWit({ claims: { iss: 'https://elsewhere.example' } }),
  ],
  ['good-unknown-cnf-member', IGNORED, lastWit({ cnf: { kid: 'x' }, jwk: { use: 'sig', kid: 'y' } })],
  [
    'good-longest-spiffe-id',
    'SPIFFE IDs are canonical and at most 255 bytes.',
    (mesh) => ({ hops: [{ to: 'orders', claims: { next: [LONGEST, id(mesh, 'payments')] } }, { to: 'payments' }] }),
  ],
  [
    'good-spiffe-id-characters',
    'SPIFFE IDs are canonical and at most 255 bytes.',
    lastLink(() => ({ next: ['spiffe://shop.example/A-z/0.9/_...'] })),
  ],
  [
    'good-acr-and-rctx',
    'Where used it also has',
    (mesh) => ({
      ...context(() => ({ acr: '' }))(mesh),
      root: { rctx: {}, tctx: { ...mesh.rootClaims().tctx, acr: 'urn:example:mfa' } },
    }),
  ],
  ['good-empty-purpose', "`tctx` of a user's root has", context(() => ({ purpose: '' }))],
  [
    'good-depth-at-the-limit',
    'A chain is no deeper than the least depth limit so far.',
    context(() => ({ max_depth: 2 })),
  ],
  ['good-depth-limit-its-own', 'The link that states a limit is bound by it.', lastLink(() => ({ del_max_depth: 2 }))],
  [
    'good-depth-limit-unchanged',
    '`del_max_depth` is lower than or equal to the least depth limit so far.',
    () => ({
      hops: [
        { to: 'orders', claims: { del_max_depth: 8 } },
        { to: 'payments', claims: { del_max_depth: 8 } },
      ],
    }),
  ],
  [
    'good-depth-limit-above-eight',
    'The limit is `tctx.max_depth`, else 8.',
    (mesh) => ({
      ...context(() => ({ max_depth: 20 }))(mesh),
      hops: [{ to: 'orders', claims: { del_max_depth: 9 } }, { to: 'payments' }],
    }),
  ],
  ['good-deferred', "A deferred root's `depth` is added.", deferredChain(), ALL, 5],
  ['good-deferred-next', RESUMED_NEXT, deferredChain(['orders', 'payments']), ALL, 5],
  [
    'good-scope-unchanged',
    'An absent `scope` leaves it unchanged.',
    () => ({ hops: [{ to: 'orders', claims: { scope: 'orders:write' } }, { to: 'payments' }] }),
    'orders:write',
  ],
  [
    'good-scope-in-another-order',
    "`scope` of a link is a subset of its parent's.",
    lastLink(() => ({ scope: 'payments:charge orders:write orders:read' })),
    'payments:charge orders:write orders:read',
  ],
  [
    'good-scope-odd-characters',
    'A scope value is a list of RFC 6749 scope tokens joined by one space, or empty.',
    root(() => ({ scope: ODD_TOKENS })),
    ODD_TOKENS,
  ],
  [
    'good-root-without-scope',
    'A scope value is a list of RFC 6749 scope tokens joined by one space, or empty.',
    root(() => ({ scope: '' })),
    '',
  ],
  [
    'good-details-whole',
    'An empty list of details is always a subset.',
    (mesh) => ({
      ...context(() => ({ authorization_details: [{ type: 'payment', amount: 5 }] }))(mesh),
      hops: twoHops,
    }),
  ],
  [
    'good-details-none-left',
    'An empty list of details is always a subset.',
    (mesh) => ({
      ...context(() => ({ authorization_details: [{ type: 'payment' }] }))(mesh),
      hops: [
        { to: 'orders', claims: { authorization_details: [] } },
        { to: 'payments', claims: { authorization_details: [] } },
      ],
    }),
  ],
  ['good-next-of-the-last-link', NEXT, lastLink(() => ({ next: [] }))],
  [
    'good-next-in-both',
    NEXT,
    (mesh) => ({
      hops: [
        { to: 'orders', claims: { next: [id(mesh, 'ledger'), id(mesh, 'payments')] } },
        { to: 'payments', claims: { next: [id(mesh, 'ledger')] } },
        { to: 'ledger' },
      ],
    }),
    ALL,
    3,
  ],
  [
    'good-back-to-entry',
    'No SPIFFE ID stands in the list more than twice.',
    () => ({ hops: [{ to: 'orders' }, { to: 'storefront' }, { to: 'payments' }] }),
    ALL,
    3,
  ],
  [
    'good-rte-of-an-earlier-link',
    EARLIER,
    () => ({ hops: [{ to: 'orders', claims: { rte: 'GET /elsewhere' } }, { to: 'payments' }] }),
  ],
  [
    'good-once-of-an-earlier-link',
    EARLIER,
    (mesh) => ({
      hops: [{ to: 'orders', claims: { once: mesh.workload('orders').certificateS256 } }, { to: 'payments' }],
    }),
  ],
  [
    'good-link-begins-with-its-root',
    NESTED,
    (mesh) => ({ hops: [{ to: 'orders', claims: { iat: mesh.nowS - 10, exp: mesh.nowS + 50 } }] }),
    ALL,
    1,
  ],
  ['good-link-ends-with-its-root', NESTED, root((mesh) => ({ exp: mesh.nowS + 60 }))],
  [
    'good-root-life-300-s',
    'The life of a root is more than 0 s and at most 300 s.',
    root((mesh) => ({ iat: mesh.nowS - 10, exp: mesh.nowS + 290 })),
  ],
  [
    'good-life-of-1-s',
    'The life of a link is more than 0 s and at most 60 s.',
    (mesh) => ({
      root: { iat: mesh.nowS, exp: mesh.nowS + 1 },
      hops: [{ to: 'orders', claims: { exp: mesh.nowS + 1 } }],
    }),
    ALL,
    1,
  ],
  [
    'good-link-from-its-wits-begin',
    WIT_TIME,
    (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: witFor(mesh, 'orders', mesh.nowS + 60) }] }),
  ],
  [
    'good-link-to-its-wits-end',
    WIT_TIME,
    (mesh) => ({ hops: [{ to: 'orders' }, { to: 'payments', wit: witFor(mesh, 'orders', mesh.nowS - 3540) }] }),
  ],
  [
    'good-eight-links-of-16384-bytes',
    'The three values together, separators included, have at most 16384 bytes.',
    chainOfSize(16_384),
    ALL,
    8,
  ],
  ['good-link-of-1536-bytes', 'A link has at most 1536 bytes.', linkOfSize(1536)],
  [
    'good-own-root-empty-tctx',
    'Its `tctx` has at most `max_depth` and `purpose`.',
    root((mesh) => ({ sub: id(mesh, 'storefront'), tctx: {} })),
  ],
];

const OWN_SUB = 'spiffe://shop.example/ns/demo/sa/storefront';

export const EDGE_CASES: readonly ChainCase[] = [
  ...ROWS.map(([name, says, chain, scope = ALL, depth = 2]) => ({
    name,
    says,
    chain,
    expect: name.startsWith('good-own') ? { ok: true as const, sub: OWN_SUB, scope, depth } : good(scope, depth),
  })),
];
