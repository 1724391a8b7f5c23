import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createRevocationSet,
  type RevocableFacts,
  type Revocation,
  type RevocationSource,
  revocationHits,
} from './index.ts';

const FACTS: RevocableFacts = {
  root: {
    iat: 100,
    kid: 'rk',
    txn: 't',
    sub: 'u:s',
    client: 'c',
    consent: 'k',
    consentVersion: 3,
    grant: 'g',
    deferred: null,
  },
  signers: [
    { iat: 50, workload: 'w1', certificate: 'x1', jti: 'j1', kid: 'wk' },
    { iat: 60, workload: 'w2', certificate: 'x2', jti: null, kid: null },
  ],
};

function hit(facts: RevocableFacts, ...entries: [Revocation, RevocationSource][]): Revocation | null {
  const set = createRevocationSet();
  for (const [revocation, source] of entries) set.add(revocation, 1000, source);
  return set.hit(facts);
}

const value = fc.constantFrom('rk', 'wk', 't', 'u:s', 'c', 'k', 'g', 'w1', 'w2', 'x1', 'x2', 'j1', 'other');
const kind = fc.constantFrom<Revocation['kind']>(
  'txn',
  'sub',
  'client',
  'consent',
  'grant',
  'deferred',
  'kid',
  'workload',
  'wit',
  'cert',
);
const revocation = fc
  .record({ kind, value, before: fc.nat(120), version: fc.option(fc.nat(5), { nil: undefined }) })
  .map(({ version, ...rest }): Revocation => (version === undefined ? rest : { ...rest, version }));
const source = fc.constantFrom<RevocationSource>('authority', 'ca');

test('the set hits exactly where one of its revocations hits by itself', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(revocation, source), { maxLength: 20 }), (entries) => {
      const expected = entries.some(([one, from]) => revocationHits(one, from, FACTS));
      expect(hit(FACTS, ...entries) !== null).toBe(expected);
    }),
    { numRuns: 2000 },
  );
});

test('what a source may not state is not taken', () => {
  const set = createRevocationSet();
  expect(set.add({ kind: 'workload', value: 'w1', before: 999 }, 1000, 'authority')).toBe(false);
  expect(set.add({ kind: 'consent', value: 'k', before: 999 }, 1000, 'ca')).toBe(false);
  expect([set.size, set.epoch, set.isEmpty]).toEqual([0, 0, true]);
});

test('a later, narrower revocation of the same value does not take back the wider one', () => {
  const wide: Revocation = { kind: 'client', value: 'c', before: 100 };
  expect(hit(FACTS, [wide, 'authority'], [{ ...wide, before: 1 }, 'authority'])).toEqual(wide);
});

test('withdrawing a consent and raising its version hold side by side', () => {
  const byTime: Revocation = { kind: 'consent', value: 'k', before: 10 };
  const byVersion: Revocation = { kind: 'consent', value: 'k', before: 0, version: 4 };
  expect(hit(FACTS, [byTime, 'authority'])).toBeNull();
  expect(hit(FACTS, [byTime, 'authority'], [byVersion, 'authority'])).toEqual(byVersion);
  expect(hit(FACTS, [byVersion, 'authority'], [byTime, 'authority'])).toEqual(byVersion);
});

test('the epoch grows with what changes an answer, and with nothing else', () => {
  const set = createRevocationSet();
  set.add({ kind: 'txn', value: 't', before: 10 }, 1000, 'authority');
  set.add({ kind: 'txn', value: 't', before: 10 }, 1000, 'authority');
  set.add({ kind: 'txn', value: 't', before: 5 }, 1000, 'authority');
  expect(set.epoch).toBe(1);
  set.add({ kind: 'txn', value: 't', before: 11 }, 1000, 'authority');
  expect(set.epoch).toBe(2);
});

test('an entry is kept until its time, the longest of those for its value', () => {
  const set = createRevocationSet();
  set.add({ kind: 'txn', value: 't', before: 100 }, 200, 'authority');
  set.add({ kind: 'txn', value: 't', before: 1 }, 300, 'authority');
  expect([set.forget(299), set.size]).toEqual([0, 1]);
  expect([set.forget(300), set.size, set.isEmpty]).toEqual([1, 0, true]);
});

test('a set that could not take one in refuses everything', () => {
  const set = createRevocationSet({ maxEntries: 1 });
  set.add({ kind: 'txn', value: 'a', before: 1 }, 1000, 'authority');
  set.add({ kind: 'txn', value: 'a', before: 2 }, 1000, 'authority');
  expect(() => set.add({ kind: 'txn', value: 'b', before: 1 }, 1000, 'authority')).toThrow(/revocation_stale/);
  expect(() => set.hit(FACTS)).toThrow(/revocation_stale/);
  expect(set.isEmpty).toBe(false);
});
