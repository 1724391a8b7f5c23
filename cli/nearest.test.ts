import { expect, test } from 'vitest';
import { editDistance, nearestName } from './nearest.ts';

test('the edit distance counts inserting, deleting, replacing and swapping neighbours as one each', () => {
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('dataDri', 'dataDir')).toBe(1);
  expect(editDistance('same', 'same')).toBe(0);
});

test('a misspelt name finds the one that was meant, a strange one finds none', () => {
  expect(nearestName('bundelFile', ['caAddress', 'bundleFile'])).toBe('bundleFile');
  expect(nearestName('zzzzzzzz', ['caAddress', 'bundleFile'])).toBeNull();
});
