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
  [{ ...vector, authority_jwks: { keys: [{ kid: 'k', kty: 'EC' }] } }],
])('what is no vector is refused as a mistake of the operator, not as a chain', (value) => {
  expect(() => verifyVector(value)).toThrow(/request_malformed/);
});
