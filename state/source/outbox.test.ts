import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshBundle, StatementKey } from '../../identity/index.ts';
import type { Revocation } from '../live-state.ts';
import { verifyEntry, verifyHeartbeat } from '../parse-live-state.ts';
import { FORGET_MARGIN_S, type Outbox, openOutbox } from './outbox.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key: StatementKey = { kid: 'a1', key: privateKey };
const bundle = { liveStateKeys: { authority: [{ kid: 'a1', key: publicKey }], ca: [] } } as unknown as MeshBundle;
const revocation = (value: string): Revocation => ({ kind: 'sub', value, before: 1_000 });

let dir: string;
let outbox: Outbox;
const open = (): Outbox => openOutbox(join(dir, 'live.sqlite'), 'authority', key);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-outbox-'));
  outbox = open();
});
afterEach(() => {
  outbox.close();
  rmSync(dir, { recursive: true });
});

const heartbeat = (nowS: number) => verifyHeartbeat(outbox.heartbeat(nowS), 'authority', bundle);

test('entries are numbered from 1, signed, and given back in pages', () => {
  for (const value of ['a', 'b', 'c']) outbox.append(revocation(value), 2_000, 1_000);
  expect(outbox.after(0, 2).map(({ number }) => number)).toEqual([1, 2]);
  expect(outbox.after(2, 9).map(({ statement }) => verifyEntry(statement, 'authority', bundle))).toEqual([
    { source: 'authority', number: 3, at: 1_000, revocation: revocation('c'), forget_at: 2_000 },
  ]);
  expect(heartbeat(1_005)).toEqual({ source: 'authority', number: 3, kept_from: 1, at: 1_005 });
});

test('numbers go on after a restart, and after everything was forgotten', () => {
  outbox.append(revocation('a'), 2_000, 1_000);
  outbox.close();
  outbox = open();
  expect(outbox.append(revocation('b'), 2_000, 1_000)).toBe(2);
  outbox.forget(2_001 + FORGET_MARGIN_S);
  expect(outbox.after(0, 9)).toEqual([]);
  expect(heartbeat(1)).toMatchObject({ number: 2, kept_from: 3 });
  outbox.close();
  outbox = open();
  expect(heartbeat(1)).toMatchObject({ number: 2, kept_from: 3 });
  expect(outbox.append(revocation('c'), 2_000, 1_000)).toBe(3);
});

test('entries leave from the front only, and not before the margin', () => {
  outbox.append(revocation('long'), 9_000, 1_000);
  outbox.append(revocation('short'), 1_500, 1_000);
  outbox.append(revocation('long'), 9_000, 1_000);
  outbox.forget(5_000);
  expect(outbox.after(0, 9)).toHaveLength(3);
  outbox.forget(9_000 + FORGET_MARGIN_S - 1);
  expect(outbox.after(0, 9)).toHaveLength(3);
  outbox.append(revocation('longer'), 90_000, 1_000);
  outbox.forget(9_001 + FORGET_MARGIN_S);
  expect(outbox.after(0, 9).map(({ number }) => number)).toEqual([4]);
  expect(heartbeat(1)).toMatchObject({ number: 4, kept_from: 4 });
});

test('an outbox from an older copy goes on after what was published, and forgets nothing for a day', () => {
  outbox.append(revocation('a'), 1_100, 1_000);
  outbox.continueAfter(7, 1_000);
  expect(outbox.append(revocation('b'), 1_100, 1_000)).toBe(8);
  outbox.forget(50_000);
  expect(heartbeat(1)).toMatchObject({ number: 8, kept_from: 1 });
  outbox.continueAfter(3, 1_000);
  expect(outbox.newest()).toBe(8);
  outbox.forget(1_000 + 86_401);
  expect(heartbeat(1)).toMatchObject({ number: 8, kept_from: 9 });
});
