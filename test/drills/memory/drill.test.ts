/**
 * The memory drill in small: a thousand bytes kept a transaction would show, and two leaks planted do. The million is
 * `npm run drill:memory`.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { expect, test } from 'vitest';
import { runDrill } from './drill.ts';
import { growthOf, type MemoryInUse, memoryInUse } from './memory-in-use.ts';
import { openNativeMemory } from './native-memory.ts';

const MIB = 1024 * 1024;
const TIMEOUT = { timeout: 300_000 };
const isTold = openNativeMemory() !== null;
if (!isTold) process.stderr.write('not run: planted leaks, as this C library does not tell what is in use\n');
const testWhereTold = test.skipIf(!isTold);
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const SPKI = publicKey.export({ format: 'der', type: 'spki' });

test('memory stays flat over 16,000 distinct transactions', TIMEOUT, async () => {
  const { tried, held, failed } = await runDrill({ transactions: 16_000, requests: 0 }, () => undefined);
  expect(failed).toEqual([]);
  expect([tried, held]).toEqual([1, 1]);
});

testWhereTold(
  'a map that is never emptied fails the drill, and so does a key kept from each transaction',
  TIMEOUT,
  async () => {
    const map = new Map<number, number[]>();
    const keys: KeyObject[] = [];
    const alongside = (): void => {
      map.set(map.size, new Array<number>(500).fill(map.size));
      keys.push(newKey());
    };
    const { held, failed } = await runDrill({ transactions: 10_000, requests: 0, alongside }, () => undefined);
    expect(held).toBe(0);
    expect(failed[0]).toMatch(/^calls, 10000 transactions: .* MiB more held.*, .* MiB more native/);
  },
);

testWhereTold('keys that are made and let go leave nothing; kept ones show in native memory alone', () => {
  const made = (): void => void Array.from({ length: 8_000 }, newKey);
  made();
  const start = memoryInUse();
  made();
  const middle = memoryInUse();
  expect(growthOf(start, middle)).toEqual([]);
  const keys = Array.from({ length: 8_000 }, newKey);
  expect(growthOf(middle, memoryInUse())).toEqual([expect.stringMatching(/^1\d\.\d MiB more native at the end/)]);
  expect(keys).toHaveLength(8_000);
});

test('what grows in the second half is named', () => {
  const middle: MemoryInUse = { heldBytes: 50 * MIB, nativeBytes: 40 * MIB, rssBytes: 200 * MIB };
  expect(growthOf(middle, { heldBytes: 57 * MIB, nativeBytes: 47 * MIB, rssBytes: 231 * MIB })).toEqual([]);
  expect(growthOf(middle, { ...middle, heldBytes: 59 * MIB })).toEqual([
    '9.0 MiB more held at the end than in the middle',
  ]);
  expect(growthOf(middle, { ...middle, nativeBytes: 49 * MIB, rssBytes: 233 * MIB })).toEqual([
    '9.0 MiB more native at the end than in the middle',
    '33.0 MiB more resident at the end than in the middle',
  ]);
  expect(growthOf(middle, { heldBytes: 1, nativeBytes: 1, rssBytes: 1 })).toEqual([]);
});

test('where the C library does not tell, the resident size has its coarse limit', () => {
  const middle: MemoryInUse = { heldBytes: 50 * MIB, nativeBytes: null, rssBytes: 200 * MIB };
  expect(growthOf(middle, { ...middle, rssBytes: 456 * MIB })).toEqual([]);
  expect(growthOf(middle, { ...middle, rssBytes: 457 * MIB })).toEqual([
    '257.0 MiB more resident at the end than in the middle',
  ]);
});

function newKey(): KeyObject {
  return createPublicKey({ key: SPKI, format: 'der', type: 'spki' });
}
