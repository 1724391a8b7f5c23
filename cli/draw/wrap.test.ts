import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { wrap } from './wrap.ts';

test('a sentence is broken at spaces, and colours take no room', () => {
  const sentence = 'Payments refused 98 ms after the withdrawal was asked for, by the record.';
  expect(wrap(sentence, Number.POSITIVE_INFINITY)).toEqual([sentence]);
  expect(wrap(sentence, 40)).toEqual(['Payments refused 98 ms after the', 'withdrawal was asked for, by the record.']);
  const coloured = sentence.replace('98', '\x1b[32m98\x1b[0m');
  expect(wrap(coloured, 40).map((line) => stripVTControlCharacters(line))).toEqual(wrap(sentence, 40));
});

test('a word that does not fit stands on a line of its own, and spaces stay', () => {
  const long = 'x'.repeat(50);
  expect(wrap(`a ${long} b`, 40)).toEqual(['a', long, 'b']);
  expect(wrap('', 40)).toEqual(['']);
  expect(wrap('a  b', 40)).toEqual(['a  b']);
});
