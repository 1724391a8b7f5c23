import { expect, test } from 'vitest';
import { codeOf, type ErrorCode } from '../../../errors/index.ts';
import { createTraceIds } from './trace-ids.ts';

const T = 'a'.repeat(32);

function codeThrown(run: () => unknown): ErrorCode | null {
  try {
    run();
    return null;
  } catch (error) {
    return codeOf(error);
  }
}

test('a trace id stands for the one request that carried it, while that runs and for 60 s more', () => {
  const ids = createTraceIds();
  ids.began(T, 'p', 0);
  ids.bind(T, 'key');
  expect(ids.find(T, 1e9)).toBe('key');
  ids.ended(T, 1_000);
  expect(ids.find(T, 60_999)).toBe('key');
  expect(codeThrown(() => ids.find(T, 61_000))).toBe('context_unknown');
});

test('two requests with one trace id are context_ambiguous, at once or one after the other within 60 s', () => {
  const ids = createTraceIds();
  ids.began(T, 'p', 0);
  ids.bind(T, 'alice');
  ids.ended(T, 0);
  ids.began(T, 'q', 59_999);
  ids.bind(T, 'bob');
  expect(codeThrown(() => ids.find(T, 59_999))).toBe('context_ambiguous');
  ids.ended(T, 60_000);
  expect(codeThrown(() => ids.find(T, 119_999))).toBe('context_ambiguous');
  ids.began(T, 'q', 120_000);
  ids.bind(T, 'carol');
  expect(ids.find(T, 120_000)).toBe('carol');
});

test('a request that was refused counts as one that carried it', () => {
  const ids = createTraceIds();
  ids.began(T, 'p', 0);
  ids.ended(T, 0);
  expect(codeThrown(() => ids.find(T, 1))).toBe('context_unknown');
  ids.began(T, 'p', 1);
  ids.bind(T, 'alice');
  expect(codeThrown(() => ids.find(T, 1))).toBe('context_ambiguous');
});

test('the table is bounded, in all and a peer: at its bound requests are refused with context_limit and nothing is forgotten', () => {
  const ids = createTraceIds({ maxTotal: 4, maxPerPeer: 3 });
  for (const id of ['1', '2', '3']) ids.began(id, 'p', 0);
  expect(codeThrown(() => ids.began('4', 'p', 0))).toBe('context_limit');
  ids.began('4', 'q', 0);
  expect(codeThrown(() => ids.began('5', 'r', 0))).toBe('context_limit');
  ids.bind('1', 'one');
  ids.ended('1', 0);
  expect(codeThrown(() => ids.began('5', 'r', 59_999))).toBe('context_limit');
  expect(ids.find('1', 59_999)).toBe('one');
  ids.sweep(60_000);
  expect(ids.size()).toBe(3);
  ids.began('5', 'p', 60_000);
});

test('an end that is told twice, or of nothing, changes nothing', () => {
  const ids = createTraceIds();
  ids.ended(T, 0);
  ids.began(T, 'p', 0);
  ids.began(T, 'p', 0);
  ids.ended(T, 0);
  ids.sweep(1e9);
  expect(ids.size()).toBe(1);
  ids.ended(T, 1e9);
  ids.ended(T, 1e9);
  ids.sweep(1e9 + 60_000);
  expect(ids.size()).toBe(0);
});

test('a hundred thousand requests of a minute ago leave nothing behind', () => {
  const ids = createTraceIds();
  for (let i = 0; i < 100_000; i += 1) {
    ids.began(String(i), String(i % 7), i);
    ids.ended(String(i), i);
  }
  ids.sweep(160_000);
  expect(ids.size()).toBe(0);
});
