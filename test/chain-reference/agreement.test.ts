import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeRandomCases, verdictOfLibrary } from '../vectors/random-cases.ts';
import { verifyReference } from './verify.ts';

const FOLDER = new URL('../vectors/chain/', import.meta.url);
const vectors = readdirSync(FOLDER).map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')));

test.each(vectors.map((vector) => [vector.name, vector]))(
  'the reference verifier gives what vector %s expects',
  (_, vector) => {
    expect(verifyReference(vector)).toEqual(vector.expect);
  },
);

test('both verifiers give the one hash over the verdicts of the random cases', () => {
  const kept = JSON.parse(readFileSync(new URL('../vectors/chain-random.json', import.meta.url), 'utf8'));
  expect(describeRandomCases(verdictOfLibrary)).toEqual(kept);
  const reference = describeRandomCases((vector) => {
    const verdict = verifyReference(vector);
    return verdict.ok ? `ok ${verdict.sub} ${verdict.depth} ${verdict.scope}` : verdict.code;
  });
  expect(reference).toEqual(kept);
});
