import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { LIFE_BOUNDS } from '../config.ts';
import { recordIssued } from '../issue/issued.ts';
import { openDatabase } from '../store/database.ts';
import { checkNotBanned, forgetAt, keepBan, keepRevocation, liftBan, parseRevocation } from './revocations.ts';

const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
const NOW_S = 1_800_000_000;
const CERTIFICATE = 'A'.repeat(43);

let dir: string;
let database: DatabaseSync;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-revoke-'));
  database = openDatabase(dir);
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true });
});

function parsed(kind: string, value: string, ban = false) {
  const context = { database, nowS: NOW_S + 0.9, isWitKey: (kid: string) => kid === 'wit-1' };
  return parseRevocation({ kind, value, reason: '', ban }, context);
}

function codeThrownBy(work: () => unknown): string {
  try {
    work();
    return 'ok';
  } catch (error) {
    return codeOf(error);
  }
}

test('a certificate is named by its serial, in any case, while it lives', () => {
  const svid = { spiffeId: ORDERS, serialHex: '00ab', certificateS256: CERTIFICATE, witJti: 'j', issuedS: NOW_S };
  recordIssued(
    database,
    { ...svid, chain: [], wit: '', notAfterS: NOW_S + 60 } as Parameters<typeof recordIssued>[1],
    null,
  );
  expect(parsed('serial', '00AB')).toEqual({ kind: 'cert', value: CERTIFICATE, before: NOW_S });
  expect(codeThrownBy(() => parsed('serial', '00ac'))).toBe('not_found');
});

test('a WIT key is one of ours; it is remembered for as long as anything signed with it may live', () => {
  const revocation = parsed('kid', 'wit-1');
  // Whoever has the key writes any time of issue.
  expect(revocation).toEqual({ kind: 'kid', value: 'wit-1', before: NOW_S + LIFE_BOUNDS.maxS + 600 });
  expect(forgetAt(database, revocation)).toBeGreaterThanOrEqual(NOW_S + 86_400);
  expect(codeThrownBy(() => parsed('kid', 'another'))).toBe('not_found');
});

test('a ban is for workloads, outlasts every revocation, and is lifted once', () => {
  expect(codeThrownBy(() => parsed('cert', CERTIFICATE, true))).toBe('request_malformed');
  expect(codeThrownBy(() => checkNotBanned(database, ORDERS))).toBe('ok');
  keepBan(database, ORDERS, NOW_S);
  keepBan(database, ORDERS, NOW_S + 1);
  // Keeping a revocation forgets those that are over: a year later the ban still stands.
  const later = NOW_S + 366 * 86_400;
  keepRevocation(database, { kind: 'wit', value: 'j', before: later }, later + 1);
  expect(codeThrownBy(() => checkNotBanned(database, ORDERS))).toBe('peer_revoked');
  liftBan(database, ORDERS);
  expect(codeThrownBy(() => checkNotBanned(database, ORDERS))).toBe('ok');
  expect(codeThrownBy(() => liftBan(database, ORDERS))).toBe('not_found');
});
