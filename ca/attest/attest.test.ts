import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId, type TrustDomain } from '../../identity/index.ts';
import type { UnixPeer } from '../../identity/socket-facts.ts';
import { deleteEntry, insertEntry, parseEntry } from '../entries/entries.ts';
import { recordIssued } from '../issue/issued.ts';
import type { IssuedSvid } from '../issue/issuer.ts';
import { forgetAt, keepRevocation, type OwnRevocation } from '../revoke/revocations.ts';
import { DATABASE_FILE, openDatabase } from '../store/database.ts';
import { attestRenewal, attestUnixPeer, createJoinToken, redeemJoinToken } from './index.ts';

const DOMAIN = 'shop.example' as TrustDomain;
const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
const NOW_S = 1_800_000_000;
let dir: string;
let database: DatabaseSync;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-attest-'));
  database = openDatabase(dir);
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true });
});

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;

function outcome(work: () => unknown): unknown {
  try {
    work();
    return 'ok';
  } catch (error) {
    expect(codeOf(error)).toBe('attestation_failed');
    return (error as { detail: Record<string, unknown> }).detail['why'];
  }
}

test('a token ends when its life does', () => {
  const { token, expiresS } = createJoinToken(database, ORDERS, 600, NOW_S);
  expect(expiresS).toBe(NOW_S + 600);
  expect(outcome(() => redeemJoinToken(database, token, newKey(), NOW_S + 600))).toBe('expired');
  expect(outcome(() => redeemJoinToken(database, token, newKey(), NOW_S + 599))).toBe('ok');
});

test('a used token is refused for another key at once, for its own key after two minutes', () => {
  const { token } = createJoinToken(database, ORDERS, 600, NOW_S);
  const key = newKey();
  expect(outcome(() => redeemJoinToken(database, token, key, NOW_S))).toBe('ok');
  expect(outcome(() => redeemJoinToken(database, token, newKey(), NOW_S))).toBe('used');
  expect(outcome(() => redeemJoinToken(database, token, key, NOW_S + 120))).toBe('ok');
  expect(outcome(() => redeemJoinToken(database, token, key, NOW_S + 121))).toBe('used');
});

test('the database holds no token, only its hash', () => {
  const { token } = createJoinToken(database, ORDERS, 600, NOW_S);
  const stored = Buffer.concat([
    readFileSync(join(dir, DATABASE_FILE)),
    readFileSync(join(dir, `${DATABASE_FILE}-wal`)),
  ]);
  expect(stored.includes(createHash('sha256').update(token).digest())).toBe(true);
  expect(stored.includes(token)).toBe(false);
});

const peer = (changed: Partial<UnixPeer> = {}): UnixPeer => ({
  uid: 4_000_001,
  gid: 5_000_001,
  pid: process.pid,
  ...changed,
});

function entry(name: string, ...selectors: string[]) {
  const made = parseEntry(
    { id: '', spiffeId: `spiffe://shop.example/${name}`, selectors, ttlS: 900, owner: '', reason: '', createdS: 0 },
    DOMAIN,
    NOW_S,
  );
  insertEntry(database, made);
  return made;
}

const context = (...entries: ReturnType<typeof entry>[]) => ({ trustDomain: DOMAIN, ownerUid: 4_000_000, entries });

test('a peer gets the identity of the entry whose selectors all hold', async () => {
  const orders = entry('orders', 'unix:uid:4000001');
  const attestation = await attestUnixPeer(peer(), context(orders));
  expect(attestation).toMatchObject({ spiffeId: 'spiffe://shop.example/orders', entryId: orders.id, ttlS: 900 });
  await expect(attestUnixPeer(peer({ uid: 4_000_002 }), context(orders))).rejects.toMatchObject({
    code: 'entry_not_found',
  });
});

test('of two entries that fit, the one that asks for more counts; of two that ask for as much, neither', async () => {
  const wide = entry('wide', 'unix:uid:4000001');
  const narrow = entry('narrow', 'unix:uid:4000001', 'unix:gid:5000001');
  const rival = entry('rival', 'unix:gid:5000001', 'unix:uid:4000001');
  expect((await attestUnixPeer(peer(), context(wide, narrow))).spiffeId).toBe('spiffe://shop.example/narrow');
  await expect(attestUnixPeer(peer(), context(wide, narrow, rival))).rejects.toMatchObject({ code: 'entry_not_found' });
});

test('an entry may want the digest of the program', async () => {
  const uid = process.getuid?.() ?? 0;
  const digest = createHash('sha256').update(readFileSync(process.execPath)).digest('hex');
  const right = entry('right', `unix:uid:${uid}`, `unix:sha256:${digest}`);
  const wrong = entry('wrong', `unix:uid:${uid}`, `unix:sha256:${'0'.repeat(64)}`);
  const own = peer({ uid, gid: process.getgid?.() ?? 0 });
  expect((await attestUnixPeer(own, context(right, wrong))).spiffeId).toBe('spiffe://shop.example/right');
  await expect(attestUnixPeer(own, context(wrong))).rejects.toMatchObject({ code: 'entry_not_found' });
});

test('a process that is another user’s by now is not attested by its program', async () => {
  const digest = createHash('sha256').update(readFileSync(process.execPath)).digest('hex');
  const right = entry('right', 'unix:uid:4000001', `unix:sha256:${digest}`);
  await expect(attestUnixPeer(peer(), context(right))).rejects.toMatchObject({ code: 'entry_not_found' });
});

test('a program that cannot be read costs nobody an entry that does not ask for it', async () => {
  const plain = entry('plain', 'unix:uid:4000001');
  const digest = entry('digest', 'unix:uid:4000001', `unix:sha256:${'0'.repeat(64)}`);
  const gone = peer({ pid: 2_000_000_000 });
  expect((await attestUnixPeer(gone, context(plain, digest))).spiffeId).toBe('spiffe://shop.example/plain');
});

test('the owner of the directory is an operator by name, root included', async () => {
  const made = await attestUnixPeer(peer({ uid: 0 }), { ...context(), ownerUid: 0 });
  expect(made.spiffeId).toBe('spiffe://shop.example/behalf/operator/root');
  const nameless = await attestUnixPeer(peer(), { ...context(), ownerUid: 4_000_001 });
  expect(nameless.spiffeId).toBe('spiffe://shop.example/behalf/operator/uid-4000001');
});

test('without credentials nobody is attested', async () => {
  await expect(attestUnixPeer(null, context())).rejects.toMatchObject({ code: 'attestation_failed' });
});

test.each<[string, string, Record<string, unknown>]>([
  ['no selector', 'request_malformed', { selectors: [] }],
  ['too many selectors', 'request_malformed', { selectors: Array.from({ length: 17 }, (_, uid) => `unix:uid:${uid}`) }],
  ['the digest of a program alone', 'request_malformed', { selectors: [`unix:sha256:${'0'.repeat(64)}`] }],
  ['a selector of another kind', 'request_malformed', { selectors: ['k8s:ns:demo'] }],
  ['a life out of bounds', 'request_malformed', { ttlS: 86_401 }],
  ['a reason that is a novel', 'request_malformed', { reason: 'x'.repeat(257) }],
  ['a reserved path', 'policy_denied', { spiffeId: 'spiffe://shop.example/behalf/authority' }],
  ['another trust domain', 'request_malformed', { spiffeId: 'spiffe://other.example/orders' }],
  ['no SPIFFE ID', 'spiffe_id_invalid', { spiffeId: 'orders' }],
])('an entry with %s is refused with %s', (_what, code, changed) => {
  const good = { id: '', spiffeId: ORDERS, selectors: ['unix:uid:1'], ttlS: 0, owner: '', reason: '', createdS: 0 };
  expect(parseEntry(good, DOMAIN, NOW_S).spiffeId).toBe(ORDERS);
  expect(() => parseEntry({ ...good, ...changed }, DOMAIN, NOW_S)).toThrowError(expect.objectContaining({ code }));
});

test('a token that nobody made is unknown, however long', () => {
  expect(outcome(() => redeemJoinToken(database, 'guess', newKey(), NOW_S))).toBe('unknown');
  expect(outcome(() => redeemJoinToken(database, 'x'.repeat(100_000), newKey(), NOW_S))).toBe('unknown');
});

describe('renewal', () => {
  const caller = { id: ORDERS, serialHex: '01ab', certificateS256: 'c'.repeat(43), issuedS: NOW_S, unix: null };
  const book = (entryId: string | null, changed: Partial<IssuedSvid> = {}) =>
    recordIssued(
      database,
      {
        spiffeId: ORDERS,
        chain: [],
        wit: '',
        witJti: 'w1',
        serialHex: caller.serialHex,
        certificateS256: caller.certificateS256,
        issuedS: NOW_S,
        notAfterS: NOW_S + 3600,
        ...changed,
      },
      entryId,
    );
  const renewed = (nowS = NOW_S) => {
    try {
      return attestRenewal(database, caller, nowS).spiffeId;
    } catch (error) {
      return codeOf(error);
    }
  };

  test('brings the identity of a certificate in the books', () => {
    book(null);
    expect(renewed()).toBe(ORDERS);
  });

  test('of a certificate that is not in the books, of another workload or of another certificate is refused', () => {
    expect(renewed()).toBe('attestation_failed');
    book(null, { spiffeId: parseSpiffeId('spiffe://shop.example/other') });
    expect(renewed()).toBe('attestation_failed');
    database.exec('DELETE FROM issued');
    book(null, { certificateS256: 'd'.repeat(43) });
    expect(renewed()).toBe('attestation_failed');
  });

  test('of a certificate that has ended is refused, though its connection goes on', () => {
    book(null);
    expect(renewed(NOW_S + 3600)).toBe(ORDERS);
    expect(renewed(NOW_S + 3601)).toBe('attestation_failed');
  });

  test('has the life that its entry gives, so that no workload renews its way past it', () => {
    book(entry('orders', 'unix:uid:1').id);
    expect(attestRenewal(database, caller, NOW_S).ttlS).toBe(900);
  });

  test('survives a clock that was a day ahead for a while', () => {
    book(null);
    book(null, { serialHex: '02', issuedS: NOW_S + 80_000, notAfterS: NOW_S + 83_600 });
    expect(renewed(NOW_S + 60)).toBe(ORDERS);
  });

  test('ends when its entry is deleted', () => {
    const { id } = entry('orders', 'unix:uid:1');
    book(id);
    expect(renewed()).toBe(ORDERS);
    deleteEntry(database, id);
    expect(renewed()).toBe('entry_not_found');
  });

  test.each<[OwnRevocation['kind'], string]>([
    ['workload', ORDERS],
    ['wit', 'w1'],
    ['cert', 'c'.repeat(43)],
  ])('ends when its %s is revoked, unless it was issued afterwards', (kind, value) => {
    book(null);
    keepRevocation(database, { kind, value, before: NOW_S - 1 }, NOW_S + 9999);
    expect(renewed()).toBe(ORDERS);
    keepRevocation(database, { kind, value, before: NOW_S }, NOW_S + 9999);
    expect(renewed()).toBe('peer_revoked');
  });

  test('a revocation is kept until the last certificate that it hits has ended', () => {
    book(null);
    book(null, { serialHex: '02', notAfterS: NOW_S + 7200 });
    expect(forgetAt(database, { kind: 'workload', value: ORDERS, before: NOW_S })).toBeGreaterThan(NOW_S + 7200);
    expect(forgetAt(database, { kind: 'wit', value: 'unknown', before: NOW_S })).toBeGreaterThan(NOW_S + 86_400);
  });
});
