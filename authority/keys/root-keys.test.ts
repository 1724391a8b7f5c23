import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  makeRootKey,
  publishedRootKeys,
  type RotationTimes,
  rootKeyInUse,
  rotateRootKeys,
  type StoredRootKey,
  withoutRootKey,
} from './root-keys.ts';

const TIMES: RotationTimes = { lifeS: 1_000, leadS: 100, keepS: 5_000 };
const START = 1_000_000;

const xOf = (key: StoredRootKey): unknown => key.jwk.x;
const step = (keys: readonly StoredRootKey[], nowS: number) => rotateRootKeys(keys, nowS, TIMES);

test('the next key is made a lead before the end of the present one, and signs a lead after it was published', () => {
  const first = makeRootKey(START);
  expect(step([first], START + 899).changes).toEqual([]);
  const { keys, changes } = step([first], START + 900);
  expect(changes.map(({ change }) => change)).toEqual(['made']);
  // Not published for long: the present one signs on, past its life.
  expect(xOf(rootKeyInUse(keys, START + 5_000))).toBe(xOf(first));
  expect(step(keys, START + 5_000).changes).toEqual([]);
  const published = publishedRootKeys(keys, START + 5_000, TIMES.leadS);
  expect(xOf(rootKeyInUse(published, START + 5_099))).toBe(xOf(first));
  expect(xOf(rootKeyInUse(published, START + 5_100))).toBe(xOf(keys[1]!));
});

test('a key that another one followed loses its private half, stays published, and is forgotten in the end', () => {
  const keys = publishedRootKeys(step([makeRootKey(START)], START + 900).keys, START + 900, TIMES.leadS);
  const followed = step(keys, START + 1_000);
  expect(followed.changes.map(({ change }) => change)).toEqual(['retired']);
  expect(followed.keys).toHaveLength(2);
  expect(followed.keys[0]?.jwk).not.toHaveProperty('d');
  expect(xOf(followed.keys[0]!)).toBe(xOf(keys[0]!));
  expect(followed.keys[1]?.jwk).toHaveProperty('d');
  const later = rotateRootKeys(followed.keys, START + 6_000, { ...TIMES, lifeS: 1_000_000 });
  expect(later.changes.map(({ change }) => change)).toEqual(['forgotten']);
  expect(later.keys).toHaveLength(1);
});

test('where the clock went back there is still a key that signs', () => {
  const keys = publishedRootKeys(step([makeRootKey(START)], START + 900).keys, START + 900, TIMES.leadS);
  const { keys: after } = step(keys, START + 1_000);
  expect(xOf(rootKeyInUse(after, START - 500))).toBe(xOf(keys[1]!));
  expect(() => step(after, START - 500)).not.toThrow();
});

test('a revoked key is never used again: not the present one, not the one on its way, and none that went with it', () => {
  const keys = publishedRootKeys(step([makeRootKey(START)], START + 900).keys, START + 900, TIMES.leadS);
  const present = withoutRootKey(keys, (key) => key === keys[0], START + 950);
  expect(present.keys).toEqual([present.next]);
  expect(rootKeyInUse(present.keys, START + 950)).toBe(present.next);
  const next = withoutRootKey(keys, (key) => key === keys[1], START + 950);
  expect(next).toEqual({ keys: [keys[0]], next: null });
  const retired = step(keys, START + 1_000).keys;
  expect(withoutRootKey(retired, (key) => key === retired[0], START + 1_000)).toEqual({
    keys: [retired[1]],
    next: null,
  });
});

test('whatever the steps and clocks, one key signs, it was published before, and no retired key is private', () => {
  const move = fc.record({ afterS: fc.integer({ min: -50, max: 700 }), publishes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
      let nowS = START;
      let keys: readonly StoredRootKey[] = [makeRootKey(START)];
      const publishedAt = new Map<unknown, number>([[xOf(keys[0]!), START - TIMES.leadS]]);
      for (const { afterS, publishes } of moves) {
        nowS += afterS;
        keys = step(keys, nowS).keys;
        if (publishes) {
          for (const key of keys) if (!publishedAt.has(xOf(key))) publishedAt.set(xOf(key), nowS);
          keys = publishedRootKeys(keys, nowS, TIMES.leadS);
        }
        const signs = rootKeyInUse(keys, nowS);
        expect(signs.jwk).toHaveProperty('d');
        expect(publishedAt.has(xOf(signs))).toBe(true);
        expect(keys.filter(({ retiredS }) => retiredS === null).length).toBeLessThanOrEqual(3);
        for (const key of keys) expect('d' in key.jwk).toBe(key.retiredS === null);
      }
    }),
    { numRuns: 60 },
  );
});
