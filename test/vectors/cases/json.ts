/** Step 1: texts that other readers of base64url and JSON would take. */
import {
  adding,
  asIs,
  bad,
  type ChainCase,
  lastText,
  lastWit,
  type Row,
  refusedCases,
  root,
  rootText,
} from './case.ts';

const STRICT = 'This holds for members that are ignored, too: one text has one reading.';
const DIGITS = 'Every number is an integer written in digits only and below 2^53.';
const COUNTS = 'An object has at most 64 members, and an array has at most 64 elements.';
const DEPTH = 'JSON is nested at most 6 deep in a root and 5 deep in links and WITs, the outermost being 1.';
const PARTS = 'Objects are compact JWS (RFC 7515) of three parts, none of them empty,';
const NAMES = 'no name twice in an object, compared after unescaping';
const OBJECTS = 'Header and payload are JSON objects.';

const members = (count: number) => `"later":{${Array.from({ length: count }, (_, i) => `"m${i}":0`).join(',')}}`;
const elements = (count: number) => `"later":[${Array(count).fill('0').join(',')}]`;

const TEXTS: readonly Row[] = [
  ['malformed-name-twice', NAMES, lastText(adding('"scope":"","scope":"orders:read"')), 'delegation_malformed'],
  ['malformed-name-twice-escaped', NAMES, lastText(adding('"\\u0061ud":"x"')), 'delegation_malformed'],
  ['malformed-name-twice-in-ignored', STRICT, rootText(adding('"later":{"a":1,"a":1}')), 'delegation_malformed'],
  [
    'malformed-half-surrogate',
    'no half of a surrogate pair.',
    rootText(adding('"later":"\\ud83d"')),
    'delegation_malformed',
  ],
  ['malformed-half-surrogate-in-name', STRICT, rootText(adding('"\\ude00":1')), 'delegation_malformed'],
  ['malformed-exponent', DIGITS, rootText(adding('"later":1e3')), 'delegation_malformed'],
  ['malformed-negative', DIGITS, rootText(adding('"later":-1')), 'delegation_malformed'],
  ['malformed-minus-zero', DIGITS, rootText(adding('"later":-0')), 'delegation_malformed'],
  ['malformed-leading-zero', DIGITS, rootText(adding('"later":007')), 'delegation_malformed'],
  ['malformed-2-to-the-53', DIGITS, rootText(adding('"later":9007199254740992')), 'delegation_malformed'],
  ['malformed-plus-sign', DIGITS, rootText(adding('"later":+1')), 'delegation_malformed'],
  [
    'malformed-iat-fraction',
    DIGITS,
    lastText((json) => json.replace(/"iat":(\d+)/, '"iat":$1.0')),
    'delegation_malformed',
  ],
  [
    'malformed-byte-order-mark',
    'UTF-8 without a byte order mark;',
    rootText((json) => `\ufeff${json}`),
    'delegation_malformed',
  ],
  ['malformed-not-utf-8', 'UTF-8 without a byte order mark;', rootText(notUtf8), 'delegation_malformed'],
  [
    'malformed-trailing-comma',
    'JSON is RFC 8259, and stricter:',
    rootText((json) => json.replace(/}$/, ',}')),
    'delegation_malformed',
  ],
  ['malformed-comment', 'JSON is RFC 8259, and stricter:', rootText((json) => `${json}/**/`), 'delegation_malformed'],
  ['malformed-two-values', 'JSON is RFC 8259, and stricter:', rootText((json) => `${json}{}`), 'delegation_malformed'],
  [
    'malformed-tab-in-a-string',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\t"')),
    'delegation_malformed',
  ],
  ['malformed-nan', 'JSON is RFC 8259, and stricter:', rootText(adding('"later":NaN')), 'delegation_malformed'],
  [
    'malformed-unknown-escape',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\\x41"')),
    'delegation_malformed',
  ],
  [
    'malformed-tab-after-an-escape',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\\n\t"')),
    'delegation_malformed',
  ],
  [
    'malformed-escape-without-hex',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\\u00g1"')),
    'delegation_malformed',
  ],
  [
    'malformed-escape-cut-short',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":"\\u12"')),
    'delegation_malformed',
  ],
  ['malformed-word', 'JSON is RFC 8259, and stricter:', rootText(adding('"later":nulx')), 'delegation_malformed'],
  [
    'malformed-word-in-capitals',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":True')),
    'delegation_malformed',
  ],
  [
    'malformed-member-without-value',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later":')),
    'delegation_malformed',
  ],
  [
    'malformed-member-without-colon',
    'JSON is RFC 8259, and stricter:',
    rootText(adding('"later" 1')),
    'delegation_malformed',
  ],
  ['malformed-single-quotes', 'JSON is RFC 8259, and stricter:', rootText(adding("'later':1")), 'delegation_malformed'],
  ['malformed-form-feed', 'JSON is RFC 8259, and stricter:', rootText((json) => `${json}\f`), 'delegation_malformed'],
  ['malformed-payload-is-a-list', OBJECTS, lastText((json) => `[${json}]`), 'delegation_malformed'],
  ['malformed-payload-is-null', OBJECTS, lastText(() => 'null'), 'delegation_malformed'],
  ['malformed-65-members', COUNTS, rootText(adding(members(65))), 'delegation_malformed'],
  ['malformed-65-elements', COUNTS, rootText(adding(elements(65))), 'delegation_malformed'],
  ['malformed-depth-of-json', DEPTH, root(() => ({ later: [[[[[[]]]]]] })), 'delegation_malformed'],
  [
    'malformed-depth-of-json-in-link',
    DEPTH,
    lastText(adding('"authorization_details":[{"type":"t","a":[[[]]]}]')),
    'delegation_malformed',
  ],
  ['malformed-depth-of-json-in-wit', DEPTH, lastWit({ claims: { later: [[[[[]]]]] } }), 'delegation_malformed'],
];

type Edited = readonly [name: string, says: string, edit: NonNullable<ChainCase['edit']>];
const token =
  (change: (token: string) => string): Edited[2] =>
  (chain) => ({ txnToken: change(chain.txnToken) });

const COMPACT: readonly Edited[] = [
  ['malformed-padded-base64url', 'Base64url is unpadded and canonical.', token((text) => `${text}==`)],
  ['malformed-unused-bits', 'Bits of the last character that stand for no byte are zero.', token(withUnusedBits)],
  ['malformed-other-alphabet', 'Base64url is unpadded and canonical.', token((text) => `${text.slice(0, -3)}+/A`)],
  [
    'malformed-base64url-of-85-characters',
    'Base64url is unpadded and canonical.',
    token((text) => text.slice(0, text.lastIndexOf('.') + 86)),
  ],
  ['malformed-white-space', 'Base64url is unpadded and canonical.', token((text) => ` ${text}`)],
  ['malformed-two-parts', PARTS, token((text) => text.slice(0, text.lastIndexOf('.')))],
  ['malformed-four-parts', PARTS, token((text) => `${text}.AAAA`)],
  ['malformed-empty-signature', PARTS, token((text) => text.slice(0, text.lastIndexOf('.') + 1))],
  ['malformed-empty-payload', PARTS, token((text) => text.replace(/\..*\./, '..'))],
  ['malformed-empty-header', PARTS, token((text) => text.slice(text.indexOf('.')))],
];

export const JSON_CASES: readonly ChainCase[] = [
  ...refusedCases(TEXTS),
  ...COMPACT.map(([name, says, edit]) => ({ name, says, chain: asIs, edit, expect: bad('delegation_malformed') })),
];

export { elements, members };

function notUtf8(json: string): Buffer {
  return Buffer.concat([Buffer.from(json.slice(0, -1)), Buffer.from(',"later":"\xff"}', 'latin1')]);
}

/** 64 bytes are 86 characters, of which the last holds two bits: one of A, Q, g, w. */
function withUnusedBits(text: string): string {
  return text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
}
