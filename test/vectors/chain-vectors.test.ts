import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { verifyVector } from '../../delegation/index.ts';
import { CHAIN_CASES } from './cases/index.ts';
import { vectorOf } from './make-chain-vectors.ts';

const FOLDER = new URL('./chain/', import.meta.url);
const vectors = readdirSync(FOLDER).map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')));

test.each(vectors.map((vector) => [vector.name, vector]))('vector %s gives what it expects', (_, vector) => {
  const { ok, code, sub, scope, depth, asExpected } = verifyVector(vector);
  const { expect: expected } = vector;
  expect(ok ? { ok, sub, scope, depth } : { ok, code }).toEqual(expected);
  expect(asExpected).toBe(true);
});

test('every case, signed anew, gives what it expects', () => {
  const surprising = CHAIN_CASES.filter((chainCase) => !verifyVector(vectorOf(chainCase)).asExpected);
  expect(surprising.map(({ name }) => name)).toEqual([]);
});

test('there is a file for each case, and a case for each file', () => {
  expect(vectors.map(({ name }) => name).sort()).toEqual(CHAIN_CASES.map(({ name }) => name).sort());
});

test('every sentence that a vector tests stands in the specification', () => {
  const page = readFileSync(new URL('../../docs/delegation-chain.md', import.meta.url), 'utf8').replace(/\s+/g, ' ');
  const missing = vectors.filter(({ says }) => !page.includes(says)).map(({ says }) => says);
  expect([...new Set(missing)]).toEqual([]);
});

test('there are at least 150 vectors, of which 60 verify', () => {
  expect(vectors.length).toBeGreaterThanOrEqual(150);
  const good = vectors.filter((vector) => vector.expect.ok).length;
  expect(good).toBeGreaterThanOrEqual(60);
});

test('every vector that the specification names is there', () => {
  const page = readFileSync(new URL('../../docs/delegation-chain.md', import.meta.url), 'utf8');
  const [, table = ''] = page.split('## 16.');
  const named = [...(table.split('What is not stopped')[0] ?? '').matchAll(/\| ([^|]+)\|\n/g)].flatMap(
    ([, cell = '']) => [...cell.matchAll(/`([a-z0-9-]+)`/g)].map(([, name]) => name),
  );
  expect(named.length).toBeGreaterThan(40);
  const names = new Set(vectors.map(({ name }) => name));
  expect(named.filter((name) => !names.has(name))).toEqual([]);
});

test('every code that verifying a chain can answer with has a vector', () => {
  const codes = new Set(vectors.filter((vector) => !vector.expect.ok).map((vector) => vector.expect.code));
  expect([...codes].sort()).toEqual([
    'consent_withdrawn',
    'delegation_bad_signature',
    'delegation_broken_chain',
    'delegation_expired',
    'delegation_holder_mismatch',
    'delegation_loop',
    'delegation_malformed',
    'delegation_missing',
    'delegation_not_yet_valid',
    'delegation_replay_store_full',
    'delegation_replayed',
    'delegation_revoked',
    'delegation_scope_widened',
    'delegation_too_deep',
    'delegation_too_large',
    'delegation_unsupported',
    'delegation_wrong_audience',
    'delegation_wrong_route',
    'peer_unauthenticated',
    'revocation_stale',
  ]);
});
