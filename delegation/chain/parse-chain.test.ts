import { expect, test } from 'vitest';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import { type Changes, forge } from '../test-forge.ts';
import { createTestMesh } from '../test-mesh.ts';
import { parseChain } from './parse-chain.ts';
import type { ChainHeaders } from './parsed-chain.ts';

const mesh = createTestMesh();
const good = forge(mesh, { hops: [{ to: 'orders' }, { to: 'payments' }] });
const TCTX = mesh.rootClaims().tctx;
const SPIFFE = mesh.workload('storefront').spiffeId;

function codeOf(headers: ChainHeaders): ErrorCode | 'accepted' {
  try {
    parseChain(headers);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    return (error as BehalfError).code;
  }
}

const withRoot = (root: Changes, rootHeader: Changes = {}) =>
  codeOf(forge(mesh, { root, rootHeader, hops: [{ to: 'orders' }] }));
const withLink = (claims: Changes, header: Changes = {}) =>
  codeOf(forge(mesh, { hops: [{ to: 'orders', claims, header }] }));

test('no header at all is delegation_missing, some of them are delegation_malformed', () => {
  expect(codeOf({ txnToken: null, delegationChain: null, delegationCredentials: null })).toBe('delegation_missing');
  expect(codeOf({ ...good, txnToken: null })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationChain: null })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationCredentials: null })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationChain: '' })).toBe('delegation_malformed');
});

test.each([
  ['two spaces', (list: string) => list.replace(', ', ',  ')],
  ['an empty first element', (list: string) => `, ${list}`],
  ['an empty last element', (list: string) => `${list}, `],
  ['one link twice', (list: string) => `${list}, ${list.split(', ')[0]}`],
  ['a character beyond ASCII', (list: string) => `${list}é`],
])('a list with %s is delegation_malformed', (_, edit) => {
  expect(codeOf({ ...good, delegationChain: edit(good.delegationChain) })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationCredentials: edit(good.delegationCredentials) })).toBe('delegation_malformed');
});

test('elements with another separator are one element, of whatever is wrong with it', () => {
  const delegationChain = good.delegationChain.replace(', ', ',');
  expect(codeOf({ ...good, delegationChain })).toBe('delegation_malformed');
});

test('every size has its limit, judged before anything is parsed', () => {
  expect(codeOf({ ...good, txnToken: 'x'.repeat(4097) })).toBe('delegation_too_large');
  expect(codeOf({ ...good, txnToken: 'x'.repeat(4096) })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationChain: 'x'.repeat(1537) })).toBe('delegation_too_large');
  expect(codeOf({ ...good, delegationCredentials: 'x'.repeat(1025) })).toBe('delegation_too_large');
  expect(codeOf({ ...good, delegationChain: Array(9).fill('x').join(', ') })).toBe('delegation_too_large');
  expect(codeOf({ ...good, delegationChain: Array(8).fill('x').join(', ') })).toBe('delegation_malformed');
  expect(codeOf({ ...good, delegationChain: ', '.repeat(8000) })).toBe('delegation_too_large');
});

test.each<[Changes]>([
  [{ iss: undefined }],
  [{ iss: '' }],
  [{ aud: ['a'] }],
  [{ iat: '1' }],
  [{ exp: -1 }],
  [{ exp: 1.5 }],
  [{ txn: 'short' }],
  [{ txn: Buffer.alloc(17).toString('base64url') }],
  [{ sub: 'u:short' }],
  [{ sub: 'someone' }],
  [{ sub: 'spiffe://Shop.example/x' }],
  [{ scope: undefined }],
  [{ scope: ' ' }],
  [{ scope: 'a  b' }],
  [{ scope: 'a\tb' }],
  [{ scope: 'a "b"' }],
  [{ scope: 'ä' }],
  [{ scope: 'a a' }],
  [{ req_wl: 'spiffe://shop.example/' }],
  [{ req_wl: 'https://shop.example/x' }],
  [{ tctx: undefined }],
  [{ tctx: [] }],
  [{ rctx: 'x' }],
  [{ tctx: { ...TCTX, client_id: undefined } }],
  [{ tctx: { ...TCTX, consent: 'c' } }],
  [{ tctx: { ...TCTX, consent: { id: 'c' } } }],
  [{ tctx: { ...TCTX, grant: '' } }],
  [{ tctx: { ...TCTX, purpose: undefined } }],
  [{ tctx: { ...TCTX, max_depth: '3' } }],
  [{ tctx: { ...TCTX, acr: null } }],
  [{ tctx: { ...TCTX, authorization_details: {} } }],
  [{ tctx: { ...TCTX, authorization_details: [{ amount: 3 }] } }],
  [{ tctx: { ...TCTX, deferred: { ref: 'x' } } }],
  [{ sub: SPIFFE, tctx: { client_id: 'x' } }],
  [{ sub: SPIFFE, tctx: { acr: 'x' } }],
  [{ sub: SPIFFE, tctx: { purpose: 3 } }],
  [{ sub: 'spiffe://other.example/x', tctx: {} }],
  [{ later: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`m${i}`, 0])) }],
])('a root with %j is delegation_malformed', (root) => {
  expect(withRoot(root)).toBe('delegation_malformed');
});

test.each<[Changes]>([
  [{ sub: SPIFFE, tctx: {} }],
  [{ scope: '' }],
  [{ rctx: { ip: 'x' } }],
  [{ later: { of: ['another'] } }],
])('a root with %j is read', (root) => {
  expect(withRoot(root)).toBe('accepted');
});

test.each<[Changes]>([
  [{ typ: 'JWT' }],
  [{ typ: undefined }],
  [{ alg: 'none' }],
  [{ alg: 'HS256' }],
  [{ alg: 'ES256+MT' }],
  [{ kid: undefined }],
  [{ kid: '' }],
  [{ kid: 1 }],
  [{ crit: ['b64'] }],
])('a root with the header %j is delegation_malformed', (header) => {
  expect(withRoot({}, header)).toBe('delegation_malformed');
});

test.each<[Changes]>([
  [{ par_hash: undefined }],
  [{ par_hash: 'AAAA' }],
  [{ aud: 'orders' }],
  [{ aud: ['spiffe://shop.example/x'] }],
  [{ iat: null }],
  [{ exp: undefined }],
  [{ jti: 'AAAA' }],
  [{ del_depth: true }],
  [{ wth: 1 }],
  [{ scope: null }],
  [{ scope: ['orders:read'] }],
  [{ scope: 'orders:read orders:read' }],
  [{ authorization_details: null }],
  [{ del_max_depth: '8' }],
  [{ next: SPIFFE }],
  [{ next: ['nobody'] }],
  [{ next: ['spiffe://other.example/x'] }],
  [{ rte: 1 }],
  [{ once: 'pod-1' }],
  [{ sub: 'x' }],
  [{ iss: 'x' }],
  [{ aud: 'spiffe://other.example/x' }],
])('a link with %j is delegation_malformed', (claims) => {
  expect(withLink(claims)).toBe('delegation_malformed');
});

test.each<[Changes, ErrorCode]>([
  [{ typ: 'dlglink-2+jwt' }, 'delegation_unsupported'],
  [{ typ: 'dlglink-10+jwt', alg: 'ES512', more: 'x' }, 'delegation_unsupported'],
  [{ alg: 'ES256+MT' }, 'delegation_unsupported'],
  [{ typ: 'dlglink-01+jwt' }, 'delegation_malformed'],
  [{ typ: 'dlglink-+jwt' }, 'delegation_malformed'],
  [{ typ: 'dlglink-x+jwt' }, 'delegation_malformed'],
  [{ typ: 'dlglink-+1+jwt' }, 'delegation_malformed'],
  [{ typ: 'wit+jwt' }, 'delegation_malformed'],
  [{ alg: 'none' }, 'delegation_malformed'],
  [{ kid: 'x' }, 'delegation_malformed'],
])('a link with the header %j is %s', (header, code) => {
  expect(withLink({}, header)).toBe(code);
});

test('objects are read in the order root, links, WITs', () => {
  const broken = {
    txnToken: 'x',
    delegationChain: forge(mesh, { hops: [{ to: 'orders', header: { typ: 'dlglink-2+jwt' } }] }).delegationChain,
  };
  const { delegationCredentials } = forge(mesh, { hops: [{ to: 'orders' }] });
  expect(codeOf({ ...broken, delegationCredentials })).toBe('delegation_malformed');
  expect(codeOf({ ...broken, txnToken: good.txnToken, delegationCredentials: 'x' })).toBe('delegation_unsupported');
});
