import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { newTraceParent, traceParentOf, withTraceParent } from './trace-parent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const GOOD = `00-${TRACE}-00f067aa0ba902b7-01`;
const of = (...values: string[]) => traceParentOf(values.flatMap((value) => ['traceparent', value]));

test('the example of the standard is read, and later versions as far as version 00 goes', () => {
  expect(of(GOOD)).toEqual({ traceId: TRACE, isSampled: true, value: GOOD });
  expect(of(GOOD.replace(/01$/, '00'))?.isSampled).toBe(false);
  expect(of(`cc${GOOD.slice(2)}`)?.traceId).toBe(TRACE);
  expect(of(`cc${GOOD.slice(2)}-what-comes-later`)?.traceId).toBe(TRACE);
});

test.each([
  ['absent'],
  ['twice', GOOD, GOOD],
  ['empty', ''],
  ['short', GOOD.slice(1)],
  ['long for its version', `${GOOD}-x`],
  ['long without a dash', `cc${GOOD.slice(2)}x`],
  ['version ff', `ff${GOOD.slice(2)}`],
  ['upper case', GOOD.toUpperCase()],
  ['a trace id of zeros', GOOD.replace(TRACE, '0'.repeat(32))],
  ['a parent id of zeros', GOOD.replace('00f067aa0ba902b7', '0'.repeat(16))],
  ['no hexadecimal', GOOD.replace('4bf', '4bg')],
  ['dashes elsewhere', GOOD.replace(/-/g, '_')],
  ['space before it', ` ${GOOD}`],
])('a traceparent that is %s counts as none', (_, ...values) => {
  expect(of(...values)).toBeNull();
});

test('a new one is valid and takes the place of what was there, tracestate with it', () => {
  const begun = newTraceParent(randomBytes, false);
  expect(of(begun.value)).toEqual(begun);
  expect(withTraceParent(['a', '1', 'traceparent', GOOD, 'tracestate', 'x=1', 'b', '2'], begun.value)).toEqual([
    ...['a', '1', 'b', '2'],
    ...['traceparent', begun.value],
  ]);
  expect(withTraceParent(['tracestate', 'x=1'], null)).toEqual([]);
});
