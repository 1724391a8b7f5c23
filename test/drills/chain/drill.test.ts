import { expect, test } from 'vitest';
import type { ChainVector } from '../../../delegation/index.ts';
import { createMutator } from '../../chain-reference/mutations.ts';
import { verifyReference } from '../../chain-reference/verify.ts';
import { compareMutations } from './compare-mutations.ts';
import { feedParser } from './feed-parser.ts';

const SEED = 'vitest';
const COUNT = 5000;
const mutate = createMutator(SEED);
const cases = Array.from({ length: COUNT }, (_, i) => mutate(i));
const verdicts = cases.map(({ vector }) => {
  const verdict = verifyReference(vector);
  return verdict.ok ? 'ok' : verdict.code;
});

test('the library and the reference verifier agree on 5,000 mutations', () => {
  const { tried, held, failed } = compareMutations({ seed: SEED, from: 0, count: COUNT }, () => undefined);
  expect(failed).toEqual([]);
  expect(held).toBe(tried);
});

test('10,000 inputs to the parser are refused with its own codes, and none is kept', () => {
  const { tried, held, failed } = feedParser({ seed: SEED, from: 0, count: 10_000 }, () => undefined);
  expect(failed).toEqual([]);
  expect(held).toBe(tried);
});

test('half of the mutations are signed anew, and they reach every code of the chain', () => {
  expect(cases.filter(({ kind }) => kind === 'structural')).toHaveLength(COUNT / 2);
  const seen = new Set(verdicts);
  expect([...seen].sort()).toEqual([
    'consent_withdrawn',
    'delegation_bad_signature',
    'delegation_broken_chain',
    'delegation_expired',
    'delegation_holder_mismatch',
    'delegation_loop',
    'delegation_malformed',
    'delegation_missing',
    'delegation_not_yet_valid',
    'delegation_replayed',
    'delegation_revoked',
    'delegation_scope_widened',
    'delegation_too_deep',
    'delegation_too_large',
    'delegation_unsupported',
    'delegation_wrong_audience',
    'delegation_wrong_route',
    'ok',
    'peer_unauthenticated',
    'revocation_stale',
  ]);
});

/** Each blinds the reference verifier to one thing. If that were not noticed, agreement would say nothing about it. */
const BLINDED: readonly (readonly [string, (vector: ChainVector) => Partial<ChainVector>])[] = [
  ['revocations', () => ({ revocations: [] })],
  ['stale live state', ({ at }) => ({ revocations_at: at })],
  ['the route', () => ({ route: 'GET /elsewhere' })],
  ['ids seen', () => ({ seen_hops: [] })],
  ['once-only links seen', () => ({ seen_jti: [] })],
  ['the issuer', () => ({ issuer: 'https://authority.shop.example' })],
  ['the audience', () => ({ audience: 'spiffe://shop.example/behalf/delegation' })],
  ['fractions of a second', ({ at }) => ({ at: Math.round(at) })],
  ['the peer’s certificate', () => ({ peer_certificate: 'A'.repeat(43) })],
];
test.each(BLINDED)('a verifier that does not see %s disagrees on some mutation', (_, blind) => {
  const shown = cases.some(({ vector }, i) => {
    const blinded = verifyReference({ ...vector, ...blind(vector) });
    return (blinded.ok ? 'ok' : blinded.code) !== verdicts[i];
  });
  expect(shown).toBe(true);
});
