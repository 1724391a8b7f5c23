import { expect, test } from 'vitest';
import { codeOf } from '../../../errors/index.ts';
import { readReference } from './resumed.ts';

const REFERENCE = 'Zm9vYmFy'.repeat(5);

function read(...headers: string[]): string | null {
  try {
    return readReference(headers);
  } catch (error) {
    return codeOf(error);
  }
}

test('one reference by itself is read; none is none', () => {
  expect(read('accept', '*/*', 'delegation-deferred', REFERENCE)).toBe(REFERENCE);
  expect(read('accept', '*/*')).toBeNull();
  expect(read('delegation-context', 'A'.repeat(22), 'baggage', 'dlg=x')).toBeNull();
});

test('beside any other carrier, or twice, it is ambiguous, whatever the other is worth', () => {
  expect(read('delegation-deferred', REFERENCE, 'delegation-context', '')).toBe('context_ambiguous');
  expect(read('baggage', 'a=b, DLG=x', 'delegation-deferred', REFERENCE)).toBe('context_ambiguous');
  expect(read('delegation-deferred', REFERENCE, 'delegation-deferred', REFERENCE)).toBe('context_ambiguous');
});

test('members of baggage that are the app’s own, and a trace, may stand beside it', () => {
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  expect(read('baggage', 'a=b', 'traceparent', trace, 'delegation-deferred', REFERENCE)).toBe(REFERENCE);
});

test('another spelling is refused, as it would be taken out unread; what is no reference is unknown', () => {
  expect(read('delegation_deferred', REFERENCE)).toBe('request_malformed');
  for (const text of ['', 'a b', '{}', 'é', 'a'.repeat(513)])
    expect(read('delegation-deferred', text), text).toBe('deferred_unknown');
});
