import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { createRevocationSet, type RevocationSet } from '../../delegation/revocation/index.ts';
import type { MeshBundle, SignedStatement, StatementKey } from '../../identity/index.ts';
import type { LiveStateHeartbeat, LiveStateSource, Revocation } from '../live-state.ts';
import { signEntry, signHeartbeat } from '../parse-live-state.ts';
import {
  createLiveStateReceiver,
  type LiveStateReceiver,
  type Receipt,
  type StateDefect,
} from './live-state-receiver.ts';
import { createSourceLedger } from './source-ledger.ts';

interface Pair {
  readonly own: StatementKey;
  readonly shown: StatementKey;
}
function pair(kid: string): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { own: { kid, key: privateKey }, shown: { kid, key: publicKey } };
}

const keys = { authority: pair('a1'), ca: pair('c1'), next: pair('a2'), stranger: pair('a1') };
const START_S = 1_800_000_000;
const sub: Revocation = { kind: 'sub', value: 'u:alice', before: START_S };

let wallS: number;
let monotonicMs: number;
let liveStateKeys: { authority: StatementKey[]; ca: StatementKey[] };
let revocations: RevocationSet;
let receiver: LiveStateReceiver;
let told: [Revocation, LiveStateSource][];
let defects: StateDefect[];

beforeEach(() => {
  wallS = START_S;
  monotonicMs = 5_000;
  liveStateKeys = { authority: [keys.authority.shown], ca: [keys.ca.shown] };
  revocations = createRevocationSet();
  told = [];
  defects = [];
  receiver = createLiveStateReceiver({
    bundle: () => ({ liveStateKeys }) as unknown as MeshBundle,
    revocations,
    wallS: () => wallS,
    monotonicMs: () => monotonicMs,
    onRevocation: (revocation, source) => told.push([revocation, source]),
    onDefect: (defect) => defects.push(defect),
  });
});

const pass = (seconds: number): void => {
  wallS += seconds;
  monotonicMs += seconds * 1_000;
};
const ageS = (source: LiveStateSource = 'authority'): number => receiver.ledgers[source].ageMs(monotonicMs) / 1_000;

function entry(
  number: number,
  revocation = sub,
  by = keys.authority.own,
  source: LiveStateSource = 'authority',
): Receipt {
  const statement = signEntry({ source, number, at: wallS, revocation, forget_at: wallS + 600 }, by);
  return receiver.receive(source, { kind: 'entry', statement });
}

function heartbeat(
  fields: Partial<LiveStateHeartbeat> & { number: number },
  by = keys.authority.own,
  source: LiveStateSource = 'authority',
): Receipt {
  return receiver.receive(source, { kind: 'heartbeat', statement: beat(fields, by, source) });
}
function beat(
  fields: Partial<LiveStateHeartbeat> & { number: number },
  by = keys.authority.own,
  source: LiveStateSource = 'authority',
): SignedStatement {
  return signHeartbeat({ source, kept_from: 1, at: wallS, ...fields }, by);
}

test('before the first heartbeat a source is infinitely old', () => {
  expect(ageS()).toBe(Number.POSITIVE_INFINITY);
  entry(1);
  expect(ageS()).toBe(Number.POSITIVE_INFINITY);
});

test('an entry is in force at once, and a heartbeat that finds all numbers makes the source fresh', () => {
  expect(entry(1)).toBe('taken');
  expect(told).toEqual([[sub, 'authority']]);
  expect(revocations.size).toBe(1);
  expect(heartbeat({ number: 1 })).toBe('taken');
  expect(ageS()).toBe(0);
  expect(ageS('ca')).toBe(Number.POSITIVE_INFINITY);
  pass(12);
  expect(ageS()).toBe(12);
});

test('age runs by the monotonic clock, whatever the wall clock does', () => {
  heartbeat({ number: 0 });
  wallS += 1_000_000;
  monotonicMs += 3_000;
  expect(ageS()).toBe(3);
  wallS -= 2_000_000;
  monotonicMs += 1_000;
  expect(ageS()).toBe(4);
});

test('a heartbeat is as old as its source says, however late it was relayed', () => {
  const statement = beat({ number: 0 });
  pass(25);
  receiver.receive('authority', { kind: 'heartbeat', statement });
  expect(ageS()).toBe(25);
});

test('a source whose clock is ahead gains no freshness', () => {
  heartbeat({ number: 0, at: wallS + 3_600 });
  pass(10);
  expect(ageS()).toBe(10);
});

test('a heartbeat that is replayed does not make the source younger', () => {
  const old = beat({ number: 0 });
  receiver.receive('authority', { kind: 'heartbeat', statement: old });
  pass(20);
  receiver.receive('authority', { kind: 'heartbeat', statement: old });
  expect(ageS()).toBe(20);
  heartbeat({ number: 0 });
  expect(ageS()).toBe(0);
});

test('an entry that the relay drops is seen at the next heartbeat, and the source goes stale until it comes', () => {
  entry(1);
  heartbeat({ number: 1 });
  pass(5);
  entry(3);
  expect(heartbeat({ number: 3 })).toBe('reopen');
  expect(defects).toMatchObject([{ source: 'authority', kind: 'incomplete' }]);
  pass(20);
  expect(heartbeat({ number: 3 })).toBe('reopen');
  expect(ageS()).toBe(25);
  expect(receiver.resume()).toEqual({ authority: 1, ca: 0 });
  entry(2);
  entry(3);
  expect(heartbeat({ number: 3 })).toBe('taken');
  expect(ageS()).toBe(0);
});

test('an entry that the relay drops at the end is seen too', () => {
  entry(1);
  expect(heartbeat({ number: 2 })).toBe('reopen');
  expect(receiver.resume().authority).toBe(1);
});

test('numbers that the source has forgotten are no gap', () => {
  entry(1);
  heartbeat({ number: 1 });
  entry(9);
  entry(10);
  expect(heartbeat({ number: 10, kept_from: 9 })).toBe('taken');
  expect(ageS()).toBe(0);
  expect(receiver.resume().authority).toBe(10);
  expect(heartbeat({ number: 12, kept_from: 13 })).toBe('taken');
  expect(receiver.resume().authority).toBe(12);
});

test('a source that goes back in its numbers is reported and does not count', () => {
  entry(1);
  entry(2);
  heartbeat({ number: 2 });
  pass(4);
  expect(heartbeat({ number: 1 })).toBe('taken');
  expect(defects).toMatchObject([{ kind: 'went_back' }]);
  expect(ageS()).toBe(4);
});

test('what another source may not state is ignored and reported, and is no gap', () => {
  entry(1, { kind: 'workload', value: 'spiffe://shop.example/x', before: wallS });
  expect(defects).toMatchObject([{ source: 'authority', kind: 'foreign' }]);
  expect(revocations.isEmpty).toBe(true);
  expect(told).toEqual([]);
  expect(heartbeat({ number: 1 })).toBe('taken');
  entry(1, sub, keys.ca.own, 'ca');
  expect(defects).toMatchObject([{ kind: 'foreign' }, { source: 'ca', kind: 'foreign' }]);
  expect(revocations.isEmpty).toBe(true);
});

test('a statement of one source relayed as the other’s is forged', () => {
  const statement = signEntry(
    { source: 'ca', number: 1, at: wallS, revocation: sub, forget_at: wallS + 1 },
    keys.ca.own,
  );
  receiver.receive('authority', { kind: 'entry', statement });
  const named = signEntry(
    { source: 'ca', number: 1, at: wallS, revocation: sub, forget_at: wallS },
    keys.authority.own,
  );
  receiver.receive('authority', { kind: 'entry', statement: named });
  expect(receiver.receive('collector', { kind: 'entry', statement })).toBe('taken');
  expect(defects.map(({ kind }) => kind)).toEqual(['forged', 'forged', 'foreign']);
  expect(revocations.isEmpty).toBe(true);
});

test('a forged signature is refused and reported, and what it claimed stays missing', () => {
  entry(1, sub, keys.stranger.own);
  expect(defects).toMatchObject([{ kind: 'forged' }]);
  heartbeat({ number: 0 }, keys.stranger.own);
  expect(ageS()).toBe(Number.POSITIVE_INFINITY);
  const good = beat({ number: 0 });
  fc.assert(
    fc.property(fc.nat(good.payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const payload = Buffer.from(good.payload);
      payload[at] = (payload[at] ?? 0) ^ flip;
      receiver.receive('authority', { kind: 'heartbeat', statement: { ...good, payload } });
      expect(ageS()).toBe(Number.POSITIVE_INFINITY);
    }),
  );
});

test('an entry does not pass for a heartbeat', () => {
  const statement = signEntry(
    { source: 'authority', number: 1, at: wallS, revocation: sub, forget_at: 1 },
    keys.authority.own,
  );
  receiver.receive('authority', { kind: 'heartbeat', statement });
  expect(defects).toMatchObject([{ kind: 'forged' }]);
});

test('what an unknown key signed waits, in order, until the bundle has the key', () => {
  entry(1);
  entry(2, { ...sub, value: 'u:bob' }, keys.next.own);
  heartbeat({ number: 2 });
  expect(defects).toMatchObject([{ kind: 'unknown_key' }]);
  expect(ageS()).toBe(Number.POSITIVE_INFINITY);
  receiver.retryHeld();
  expect(told).toHaveLength(1);
  liveStateKeys.authority.push(keys.next.shown);
  expect(receiver.retryHeld()).toBe('taken');
  expect(told).toHaveLength(2);
  expect(ageS()).toBe(0);
});

test('what waits for a key is bounded: then the stream is to begin anew', () => {
  let receipt: Receipt = 'taken';
  for (let number = 1; receipt === 'taken' && number < 1_000; number += 1) receipt = entry(number, sub, keys.next.own);
  expect(receipt).toBe('reopen');
  expect(receiver.resume().authority).toBe(0);
});

test('a relay that drops, repeats or reorders anything never makes an incomplete source fresh', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('entry' as const), number: fc.integer({ min: 1, max: 8 }) }),
    fc.record({
      kind: fc.constant('beat' as const),
      number: fc.integer({ min: 0, max: 8 }),
      kept: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({ kind: fc.constant('resume' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ledger = createSourceLedger();
      const had = new Set<number>();
      steps.forEach((one, at) => {
        if (one.kind === 'entry') {
          ledger.take(one.number);
          had.add(one.number);
        } else if (one.kind === 'beat' && one.kept <= one.number + 1) {
          const before = ledger.ageMs(at);
          ledger.beat({ source: 'ca', number: one.number, kept_from: one.kept, at: 0 }, 0, at);
          const isAll = Array.from({ length: one.number - one.kept + 1 }, (_, n) => one.kept + n).every((n) =>
            had.has(n),
          );
          if (!isAll) expect(ledger.ageMs(at)).toBe(before);
        } else if (one.kind === 'resume') {
          const through = ledger.resume();
          expect(through).toBeLessThanOrEqual(Math.max(0, ...had, through));
        }
      });
    }),
    { numRuns: 3_000 },
  );
});

test('a relay that gives all that was asked for completes any gap', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 12 })),
      (newest, kept, dropped) => {
        const keptFrom = Math.min(kept, newest + 1);
        const ledger = createSourceLedger();
        const send = (after: number, without: readonly number[]): string => {
          for (let n = Math.max(after + 1, keptFrom); n <= newest; n += 1) if (!without.includes(n)) ledger.take(n);
          return ledger.beat({ source: 'ca', number: newest, kept_from: keptFrom, at: 0 }, 0, 0);
        };
        if (send(0, dropped) === 'incomplete') expect(send(ledger.resume(), [])).toBe('complete');
      },
    ),
  );
});
