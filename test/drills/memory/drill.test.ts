/** The memory drill in small: a thousand bytes kept a transaction would show. The million is `npm run drill:memory`. */
import { expect, test } from 'vitest';
import { runDrill } from './drill.ts';
import { growthOf } from './memory-in-use.ts';

const MIB = 1024 * 1024;

test('memory stays flat over 16,000 distinct transactions', { timeout: 300_000 }, async () => {
  const { tried, held, failed } = await runDrill({ transactions: 16_000, requests: 0 }, () => undefined);
  expect(failed).toEqual([]);
  expect([tried, held]).toEqual([1, 1]);
});

test('what grows in the second half is named', () => {
  const middle = { heldBytes: 50 * MIB, rssBytes: 200 * MIB };
  expect(growthOf(middle, { heldBytes: 57 * MIB, rssBytes: 450 * MIB })).toBeNull();
  expect(growthOf(middle, { heldBytes: 59 * MIB, rssBytes: 200 * MIB })).toBe(
    'holds 9.0 MiB more at the end than in the middle',
  );
  expect(growthOf(middle, { heldBytes: 50 * MIB, rssBytes: 457 * MIB })).toBe(
    'takes 257.0 MiB more at the end than in the middle',
  );
  expect(growthOf(middle, { heldBytes: 1, rssBytes: 1 })).toBeNull();
});
