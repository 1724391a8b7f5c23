import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORDERS, PAYMENTS, sampleChain, sampleEnd, sampleHop } from '../../audit/testing/sample-events.ts';
import { readLogFolder, verifyLog } from '../../audit/verify-log/index.ts';
import { openTestRecord, type TestRecord } from '../testing/record.ts';
import { checkRecord, type RecordVerdict } from './check-record.ts';

let dir: string;
let record: TestRecord;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-record-'));
  record = await openTestRecord(dir);
  const chain = sampleChain();
  const [first, second] = [sampleHop({ chainId: chain.chainId }), sampleHop({ goesOn: true })];
  await record.put({ reporter: ORDERS, firstSeq: 1, chains: [chain], events: [first, second, sampleEnd(second.hop)] });
  const callee = sampleHop({
    hopId: first.hop.hopId,
    side: 'SIDE_CALLEE',
    chainId: chain.chainId,
    outcome: 'OUTCOME_REFUSED',
    code: 'policy_denied',
    refusedBy: PAYMENTS,
  });
  await record.put({
    reporter: PAYMENTS,
    firstSeq: 1,
    events: [callee, { body: 'part', part: { state: 'started', detail: '' } }],
  });
  for (let index = 0; index < 300; index++)
    await record.put({ reporter: ORDERS, firstSeq: 4 + index, events: [sampleHop()] });
  record.close();
});

afterAll(() => rmSync(dir, { recursive: true }));

function check(file = record.file): RecordVerdict {
  return checkRecord({ file, folder: readLogFolder(record.logDir), size: 305 });
}

/** Changes a copy of the record by SQL. */
function changed(sql: string): RecordVerdict {
  const file = join(dir, 'changed.sqlite');
  copyFileSync(record.file, file);
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
  const verdict = check(file);
  rmSync(file);
  return verdict;
}

test('an untouched record agrees with its verified log', () => {
  const checkpoint = readFileSync(join(record.logDir, 'checkpoint'), 'utf8');
  expect(verifyLog({ checkpoint, vkey: record.vkey, folder: readLogFolder(record.logDir) })).toMatchObject({
    ok: true,
    size: 305,
  });
  expect(check()).toEqual({ ok: true, events: 305, erased: 0 });
});

test.each([
  [
    'entry',
    "UPDATE events SET entry = CAST(substr(entry, 1, 40) || x'00' || substr(entry, 42) AS BLOB) WHERE idx = 7",
    'event 7',
  ],
  [
    'secret',
    "UPDATE events SET secret = CAST(substr(secret, 1, 30) || x'00' || substr(secret, 32) AS BLOB) WHERE idx = 7",
    'event 7',
  ],
  ['erased secret', 'UPDATE events SET secret = NULL WHERE idx = 7', 'event 7'],
  ['time', 'UPDATE events SET time_us = time_us + 1 WHERE idx = 7', 'event 7'],
  ['kind', 'UPDATE events SET kind = 9 WHERE idx = 7', 'event 7'],
  ['hop id', 'UPDATE events SET hop_id = zeroblob(12) WHERE idx = 7', 'event 7'],
  ['request id', 'UPDATE events SET request_id = NULL WHERE idx = 7', 'event 7'],
  ['outcome', 'UPDATE events SET outcome = 2 WHERE idx = 7', 'event 7'],
  ['side', 'UPDATE events SET side = 2 WHERE idx = 7', 'event 7'],
  ['code', "UPDATE events SET code = '' WHERE code = 'policy_denied'", 'event 3'],
  ['caller', "UPDATE events SET caller = 'x' WHERE idx = 7", 'event 7'],
  ['callee', "UPDATE events SET callee = 'x' WHERE idx = 7", 'event 7'],
  ['txn', "UPDATE events SET txn = 'x' WHERE idx = 7", 'event 7'],
  ['sequence number', 'UPDATE events SET seq = 9999 WHERE idx = 7', 'event 7'],
  ['chain', 'UPDATE events SET chain = NULL WHERE idx = 0', 'event 0'],
  ['reporter', "UPDATE sources SET reporter = 'spiffe://shop.example/else' WHERE id = 1", 'event 0'],
  ['epoch', 'UPDATE sources SET epoch = zeroblob(16) WHERE id = 1', 'event 0'],
  ['last number', 'UPDATE sources SET last_seq = 5 WHERE id = 1', 'source'],
  ['subject', "UPDATE subjects SET subject = subject || 'x'", 'event 0'],
  ['chain body', "UPDATE chains SET body = CAST(substr(body, 1, 20) || x'00' || substr(body, 22) AS BLOB)", 'chain'],
  ['chain id', 'UPDATE chains SET chain_id = zeroblob(16)', 'event 0'],
  ['sides', 'UPDATE calls SET sides = 3 WHERE sides = 1', 'call'],
  ['denied', 'UPDATE calls SET denied = 0', 'call'],
  ['a removed hop', 'DELETE FROM calls WHERE denied = 1', 'calls'],
  ['a removed event', 'DELETE FROM events WHERE idx = 7', 'event 7'],
  ['a removed end', 'DELETE FROM events WHERE idx > 200', 'event 201'],
])('a change of the %s is found, and its place named', (_, sql, place) => {
  const verdict = changed(sql);
  expect(verdict.ok).toBe(false);
  if (!verdict.ok) expect(verdict.place.startsWith(`record ${place}`)).toBe(true);
});

test('an erased person’s events still agree with the log, and say that they were erased', () => {
  expect(changed('DELETE FROM subjects')).toEqual({ ok: true, events: 305, erased: 303 });
});

test('a changed byte anywhere in the stored bytes of an entry or secret is found', () => {
  const whole = readFileSync(record.file);
  const database = new DatabaseSync(record.file, { readOnly: true });
  const rows = database.prepare('SELECT entry, secret FROM events WHERE idx IN (0, 150, 304)').all();
  database.close();
  const file = join(dir, 'changed.sqlite');
  for (const blob of rows.flatMap(({ entry, secret }) => [
    Buffer.from(entry as Uint8Array),
    Buffer.from(secret as Uint8Array),
  ])) {
    const at = whole.indexOf(blob);
    expect(at).toBeGreaterThan(0);
    for (const offset of [0, 1, 13, blob.length - 1]) {
      const bytes = Buffer.from(whole);
      bytes[at + offset]! ^= 1;
      writeFileSync(file, bytes);
      expect(check(file).ok).toBe(false);
    }
  }
});
