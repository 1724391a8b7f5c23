import { expect, test } from 'vitest';
import { compareNumbering, missingFrom, readBaseline, readProtos } from './numbering.ts';

const { numbering, isReserved } = readProtos();
const never = (): boolean => false;

test('no number of a field or enum value changed its meaning or was freed', () => {
  expect(compareNumbering(readBaseline(), numbering, isReserved)).toEqual([]);
});

test('every number that is given out is in the baseline (if not: npx node proto/numbering.ts)', () => {
  expect(missingFrom(readBaseline(), numbering)).toEqual([]);
});

test('the protos are really read', () => {
  expect(numbering['behalf.audit.v1.Event']?.['4']).toBe('Hop hop');
  expect(numbering['behalf.audit.v1.Hop']?.['31']).toBe('repeated string actors');
  expect(numbering['behalf.audit.v1.Side']?.['2']).toBe('SIDE_CALLEE');
});

test('a changed, a renumbered and a removed field are found; one that is reserved may go', () => {
  const before = { 'behalf.x.v1.M': { '1': 'string a', '2': 'bytes b' } };
  expect(compareNumbering(before, { 'behalf.x.v1.M': { '1': 'bytes a', '2': 'bytes b' } }, never)).toHaveLength(1);
  expect(compareNumbering(before, { 'behalf.x.v1.M': { '1': 'bytes b', '2': 'string a' } }, never)).toHaveLength(2);
  expect(compareNumbering(before, { 'behalf.x.v1.M': { '1': 'string a' } }, never)).toHaveLength(1);
  expect(compareNumbering(before, { 'behalf.x.v1.M': { '1': 'string a' } }, (_, number) => number === 2)).toEqual([]);
  expect(missingFrom(before, { 'behalf.x.v1.M': { '1': 'string a', '2': 'bytes b', '3': 'bool c' } })).toEqual([
    'behalf.x.v1.M 3',
  ]);
});
