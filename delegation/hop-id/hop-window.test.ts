import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { createHopWindow, HOP_IDLE_S, HOP_WINDOW, MAX_HOP_PREFIXES_PER_PEER } from './hop-window.ts';

const PEER = parseSpiffeId('spiffe://shop.example/orders');
const OTHER = parseSpiffeId('spiffe://shop.example/payments');

function hopId(prefix: number, counter: number): string {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntBE(prefix, 0, 6);
  bytes.writeUIntBE(counter, 6, 6);
  return bytes.toString('base64url');
}

function taken(
  window: ReturnType<typeof createHopWindow>,
  counter: number,
  prefix = 1,
  peer = PEER,
  nowS = 0,
): boolean {
  try {
    window.take(peer, hopId(prefix, counter), nowS);
    return true;
  } catch (error) {
    expect(String(error)).toMatch(/delegation_replayed/);
    return false;
  }
}

test('the window takes each id exactly once, and agrees with a slow reference in any order', () => {
  const steps = fc.array(
    fc.oneof(fc.nat(40), fc.integer({ min: HOP_WINDOW - 20, max: HOP_WINDOW + 40 }), fc.nat(4 * HOP_WINDOW)),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(steps, (counters) => {
      const window = createHopWindow();
      const seen = new Set<number>();
      let highest = -1;
      for (const counter of counters) {
        const fresh = !seen.has(counter) && (highest < 0 || counter > highest - HOP_WINDOW);
        expect(taken(window, counter)).toBe(fresh);
        if (fresh) seen.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
    { numRuns: 200 },
  );
});

test('the oldest id of the window is taken, the one before it is not', () => {
  const window = createHopWindow();
  expect(taken(window, HOP_WINDOW)).toBe(true);
  expect(taken(window, 1)).toBe(true);
  expect(taken(window, 0)).toBe(false);
});

test('a jump of any width leaves no old bit behind', () => {
  for (const jump of [1, 31, 32, HOP_WINDOW - 1, HOP_WINDOW, HOP_WINDOW + 1, 2 ** 47]) {
    const window = createHopWindow();
    for (let counter = 0; counter < 100; counter++) taken(window, counter);
    expect(taken(window, 99 + jump)).toBe(true);
    for (let counter = 99 + jump - 1; counter > Math.max(99, 99 + jump - 200); counter--)
      expect(taken(window, counter)).toBe(true);
  }
});

test('peers and prefixes do not touch each other', () => {
  const window = createHopWindow();
  expect([taken(window, 5), taken(window, 5, 2), taken(window, 5, 1, OTHER)]).toEqual([true, true, true]);
  expect([taken(window, 5), taken(window, 5, 2), taken(window, 5, 1, OTHER)]).toEqual([false, false, false]);
});

test('a peer has 256 prefixes; idle ones are forgotten when it needs room, others never', () => {
  const window = createHopWindow();
  for (let prefix = 0; prefix < MAX_HOP_PREFIXES_PER_PEER; prefix++)
    window.take(PEER, hopId(prefix, 0), prefix === 0 ? 0 : 10);
  expect(() => window.take(PEER, hopId(999, 0), 10 + HOP_IDLE_S - 11)).toThrow(/delegation_replay_store_full/);
  window.take(OTHER, hopId(999, 0), 10);
  window.take(PEER, hopId(999, 0), HOP_IDLE_S);
  expect(window.size).toBe(MAX_HOP_PREFIXES_PER_PEER + 1);
  expect(() => window.take(PEER, hopId(1000, 0), HOP_IDLE_S)).toThrow(/delegation_replay_store_full/);
});

test('all peers together have a limit, and idle prefixes give way', () => {
  const window = createHopWindow({ maxPrefixes: 2 });
  window.take(PEER, hopId(1, 0), 0);
  window.take(PEER, hopId(2, 0), 1);
  expect(() => window.take(OTHER, hopId(1, 0), 2)).toThrow(/delegation_replay_store_full/);
  window.take(OTHER, hopId(1, 0), HOP_IDLE_S);
  expect(window.forgetIdle(HOP_IDLE_S + 1)).toBe(1);
  expect(window.size).toBe(1);
});
