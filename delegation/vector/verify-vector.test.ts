import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { verifyVector } from './verify-vector.ts';

const vector = JSON.parse(
  readFileSync(new URL('../../test/vectors/chain/good-two-links.json', import.meta.url), 'utf8'),
);

test('the answer says what was found, and apart from that whether it was expected', () => {
  expect(verifyVector(vector)).toMatchObject({
    name: 'good-two-links',
    ok: true,
    code: null,
    depth: 2,
    asExpected: true,
  });
  expect(verifyVector({ ...vector, expect: { ok: false, code: 'delegation_expired' } }).asExpected).toBe(false);
  expect(verifyVector({ ...vector, expect: { ...vector.expect, depth: 3 } }).asExpected).toBe(false);
  const late = verifyVector({ ...vector, at: vector.at + 70, revocations_at: vector.at + 70 });
  expect(late).toMatchObject({ ok: false, code: 'delegation_expired', sub: null, asExpected: false });
});

test.each([
  [null],
  [[]],
  ['text'],
  [{}],
  [{ ...vector, at: '1' }],
  [{ ...vector, me: 'payments' }],
  [{ ...vector, peer: 'payments' }],
  [{ ...vector, trust_domain: '' }],
  [{ ...vector, txn_token: 1 }],
  [{ ...vector, seen_hops: ['x'] }],
  [{ ...vector, revocations: [{ kind: 'everything', value: '', before: 0 }] }],
  [{ ...vector, revocations: [{ kind: 'txn', value: '' }] }],
  [{ ...vector, authority_jwks: { keys: ['k'] } }],
])('what is no vector is refused as a mistake of the operator, not as a chain', (value) => {
  expect(() => verifyVector(value)).toThrow(/request_malformed/);
});

test('a vector that expects nothing is asked, not judged', () => {
  const { expect: _, ...question } = vector;
  expect(verifyVector(question)).toMatchObject({ ok: true, code: null, depth: 2, asExpected: null });
});

test('keys that cannot verify ES256 are passed over, whatever stands beside them', () => {
  const odd = [{ kid: 'k', kty: 'EC' }, { kty: 'RSA' }, { kid: 'wit-1', kty: 'OKP', crv: 'Ed25519', use: 'wit-svid' }];
  const keys = { authority_jwks: { keys: [...odd, ...vector.authority_jwks.keys] } };
  const bundle = { spiffe_sequence: 1, keys: [...odd, { use: 'x509-svid', x5c: ['AA=='] }, ...vector.bundle.keys] };
  expect(verifyVector({ ...vector, ...keys, bundle }).asExpected).toBe(true);
});

test('what was seen counts in any order and however often it is named', () => {
  const seen = {
    seen_jti: ['AAAAAgAAAAAAAAAA', 'AAAAAgAAAAAAAAAA'],
    seen_hops: ['aG9wcHJlAAAAAQAB', 'aG9wcHJlAAAAAAAC'],
  };
  expect(verifyVector({ ...vector, ...seen }).code).toBe('delegation_replayed');
  const whole = { seen_hops: [vector.delegation_hop, vector.delegation_hop] };
  expect(verifyVector({ ...vector, ...whole }).code).toBe('delegation_replayed');
});

test('batch signatures are unsupported also where a vector allows them', () => {
  const [first, link] = vector.delegation_chain.split(', ') as [string, string];
  const header = Buffer.from('{"typ":"dlglink-1+jwt","alg":"ES256+MT"}').toString('base64url');
  const chain = `${first}, ${header}${link.slice(link.indexOf('.'))}`;
  expect(verifyVector({ ...vector, delegation_chain: chain, allow_batch: true }).code).toBe('delegation_unsupported');
});
