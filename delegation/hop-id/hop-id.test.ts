import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { createHopMinter, formatHop, hopCounter, hopPrefix, parseHop } from './hop-id.ts';

const id = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64url'));

test('parse of format is identity', () => {
  fc.assert(
    fc.property(id, fc.option(id), id, (hop, parent, request) => {
      expect(parseHop(formatHop({ hop, parent, request }))).toEqual({ hop, parent, request });
    }),
  );
});

test('the counter is the last 48 bits, most significant first', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 6, maxLength: 6 }),
      fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      (prefix, counter) => {
        const bytes = Buffer.alloc(12);
        bytes.set(prefix);
        bytes.writeUIntBE(counter, 6, 6);
        const hop = bytes.toString('base64url');
        expect(hopCounter(hop)).toBe(counter);
        expect(hopPrefix(hop)).toBe(Buffer.from(prefix).toString('base64url'));
      },
    ),
  );
});

test('a minter counts from 0 after its prefix', () => {
  const minter = createHopMinter(Buffer.from('prefix'));
  const ids = Array.from({ length: 70 }, () => Buffer.from(minter.next(), 'base64url'));
  expect(ids.map((bytes) => bytes.readUIntBE(6, 6))).toEqual(Array.from({ length: 70 }, (_, i) => i));
  expect(ids.every((bytes) => bytes.toString('latin1', 0, 6) === 'prefix')).toBe(true);
  expect(() => createHopMinter(Buffer.alloc(5))).toThrow(BehalfError);
});

const A = 'AAAAAAAAAAAAAAAA';
test.each([
  null,
  '',
  '0',
  '.',
  '..',
  A,
  `${A}.0`,
  `${A}.${A}`,
  `${A}..${A}`,
  `${A}.1.${A}`,
  `${A}.00.${A}`,
  `${A}.0.${A}.`,
  `${A}.0.${A}=`,
  `${A}+0.${A}`,
  `${A}.0.AAAAAAAAAAAAAAA+`,
  ` ${A}.0.${A}`,
  `${A}.${A.slice(1)}.${A}`,
])('the header %j is delegation_malformed', (value) => {
  expect(() => parseHop(value)).toThrow(/delegation_malformed/);
});

test('random text gives the coded refusal and nothing else', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      try {
        parseHop(text);
      } catch (error) {
        expect(error).toBeInstanceOf(BehalfError);
      }
    }),
  );
});
