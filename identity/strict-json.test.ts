import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonDefect, type JsonLimits, readStrictJson } from './strict-json.ts';

const LIMITS: JsonLimits = { maxDepth: 5, maxMembers: 64 };
const read = (text: string, limits = LIMITS) => readStrictJson(Buffer.from(text, 'utf8'), limits);
const whyOf = (text: string | Buffer, limits = LIMITS) => {
  const value = readStrictJson(typeof text === 'string' ? Buffer.from(text, 'utf8') : text, limits);
  return value instanceof JsonDefect ? value.why : `read ${JSON.stringify(value)}`;
};
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

test('what JSON.stringify writes of strings, lists, objects and small integers is read as it was', () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string({ unit: 'grapheme' }),
      fc.nat(),
      fc.constant(null),
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(value, (written) => {
      expect(plain(readStrictJson(Buffer.from(JSON.stringify(written)), { maxDepth: 9, maxMembers: 64 }))).toEqual(
        plain(written),
      );
    }),
  );
});

test('whatever is read, JSON.parse reads the same; whatever JSON.parse refuses is refused', () => {
  const ugly = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          ',',
          ':',
          '"a"',
          '"\\u0061"',
          '1',
          '01',
          '-1',
          '1e3',
          '1.5',
          'true',
          'nul',
          ' ',
        ),
        { maxLength: 12 },
      )
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(ugly, (text) => {
      const value = read(text);
      if (!(value instanceof JsonDefect)) expect(plain(value)).toEqual(plain(JSON.parse(text)));
    }),
    { numRuns: 2000 },
  );
});

test('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readStrictJson(Buffer.from(bytes), LIMITS);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['a name twice', '{"a":1,"a":2}', 'a name twice in one object'],
  ['a name twice after unescaping', '{"a":1,"\\u0061":2}', 'a name twice in one object'],
  ['`__proto__` twice', '{"__proto__":1,"__proto__":2}', 'a name twice in one object'],
  ['a byte order mark', '\ufeff{}', 'not a JSON value, or a number that is not digits only'],
  ['a negative number', '-1', 'not a JSON value, or a number that is not digits only'],
  ['a fraction', '1.0', 'something after the value'],
  ['an exponent', '1e2', 'something after the value'],
  ['a leading zero', '01', 'a number with a leading zero'],
  ['2^53', '9007199254740992', 'a number of 2^53 or more'],
  ['very many digits', '9'.repeat(400), 'a number of 2^53 or more'],
  ['half of a surrogate pair', '"\\ud83d"', 'half of a surrogate pair'],
  ['a control character', '"\u0001"', 'a string that does not end or holds a control character'],
  ['an unknown escape', '"\\x"', 'an unknown escape'],
  ['an escape cut short', '"\\u12', 'an escape without four hexadecimal digits'],
  ['a comma at the end', '[1,]', 'not a JSON value, or a number that is not digits only'],
  ['two values', '{}{}', 'something after the value'],
  ['nothing', '', 'not a JSON value, or a number that is not digits only'],
  ['a value nested too deep', '[[[[[[]]]]]]', 'nested too deep'],
  ['too many elements', `[${'0,'.repeat(64)}0]`, 'too many elements'],
])('%s is refused', (_, text, why) => {
  expect(whyOf(text)).toBe(why);
});

test('too many members are refused, as many as allowed are read', () => {
  const members = (count: number) => `{${Array.from({ length: count }, (_, i) => `"m${i}":0`).join(',')}}`;
  expect(whyOf(members(65))).toBe('too many members');
  expect(whyOf(members(64))).toMatch(/^read/);
});

test('text that is not UTF-8 is refused', () => {
  expect(whyOf(Buffer.from([0x22, 0xc3, 0x28, 0x22]))).toBe('not UTF-8');
  expect(whyOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe('not UTF-8');
});

test('`__proto__` is a name like any other', () => {
  const value = read('{"__proto__":{"admin":true}}');
  expect(Object.keys(value as object)).toEqual(['__proto__']);
  expect((value as { admin?: boolean }).admin).toBeUndefined();
});

test('the greatest integer is 2^53 - 1', () => {
  expect(read('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
});
