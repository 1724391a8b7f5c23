/** The one credential of a request from outside. */
import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { presentedToken } from './entry.ts';

function codeFor(...values: string[]): string {
  try {
    presentedToken(values.flatMap((value) => ['authorization', value]));
    return 'taken';
  } catch (thrown) {
    return codeOf(thrown);
  }
}

test('a bearer token is taken in any case of its scheme', () => {
  expect(presentedToken(['accept', '*/*', 'authorization', 'Bearer abc.def-_~+/=='])).toBe('abc.def-_~+/==');
  expect(presentedToken(['authorization', 'bEARER x'])).toBe('x');
});

test('none is delegation_missing, two are entry_ambiguous even if equal', () => {
  expect(codeFor()).toBe('delegation_missing');
  expect(codeFor('Bearer a', 'Bearer a')).toBe('entry_ambiguous');
});

test('another scheme, an empty token, a long one and characters beyond RFC 6750 are entry_token_invalid', () => {
  for (const value of [
    'Basic YTpi',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer =',
    'Bearer a"b',
    'Bearer ä',
    `Bearer ${'a'.repeat(8_193)}`,
  ]) {
    expect(codeFor(value), value.slice(0, 20)).toBe('entry_token_invalid');
  }
});
