import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chainIdOf } from '../../audit/event/index.ts';
import { ORDERS, PAYMENTS, sampleChain, sampleHop, samplePersonal } from '../../audit/testing/sample-events.ts';
import type { Hop } from '../../proto/behalf/audit/v1/audit.ts';
import { openTestRecord, type TestRecord } from '../testing/record.ts';
import { OVERDUE_US, reportOf, SIDE_CALLEE_BIT, SIDE_CALLER_BIT } from './match-sides.ts';

let dir: string;
let nowUs: number;
let record: TestRecord;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-match-'));
  nowUs = 1_000_000;
  record = await openTestRecord(dir, () => nowUs);
});

afterEach(() => {
  record.close();
  rmSync(dir, { recursive: true });
});

function openFindings(): { kind: string; key: string }[] {
  return record.reader.findings({ openOnly: true, afterId: 0 }, 100).map(({ kind, key }) => ({ kind, key }));
}

function dueOf(overrides: Partial<Hop>): number {
  const { hop } = sampleHop(overrides);
  return reportOf(hop, hop.side === 'SIDE_CALLER' ? ORDERS : PAYMENTS).due;
}

test('which sides are due follows from what the first one says', () => {
  const both = SIDE_CALLER_BIT | SIDE_CALLEE_BIT;
  expect(dueOf({})).toBe(both);
  expect(dueOf({ side: 'SIDE_CALLEE' })).toBe(both);
  expect(dueOf({ side: 'SIDE_CALLEE', outcome: 'OUTCOME_REFUSED', refusedBy: PAYMENTS })).toBe(both);
  expect(dueOf({ outcome: 'OUTCOME_REFUSED', refusedBy: PAYMENTS })).toBe(both);
  expect(dueOf({ outcome: 'OUTCOME_REFUSED', refusedBy: ORDERS })).toBe(SIDE_CALLER_BIT);
  expect(dueOf({ outcome: 'OUTCOME_FAILED', code: 'upstream_unavailable' })).toBe(SIDE_CALLER_BIT);
  expect(dueOf({ side: 'SIDE_ENTRY' }) & both).toBe(0);
});

test('a hop is one-sided only once the other side is overdue, and no longer when it came after all', async () => {
  const hop = sampleHop();
  await record.put({ reporter: ORDERS, firstSeq: 1, events: [hop] });
  nowUs += OVERDUE_US;
  expect(record.writer.sweep()).toEqual({ found: 0, resolved: 0 });
  expect(record.reader.totals(nowUs).oneSided).toBe(0);
  nowUs += 1;
  expect(record.reader.totals(nowUs).oneSided).toBe(1);
  expect(record.writer.sweep()).toEqual({ found: 1, resolved: 0 });
  expect(record.writer.sweep()).toEqual({ found: 0, resolved: 0 });
  expect(openFindings()).toEqual([{ kind: 'caller_without_callee', key: hop.hop.hopId.toString('base64url') }]);

  await record.put({
    reporter: PAYMENTS,
    firstSeq: 1,
    events: [sampleHop({ hopId: hop.hop.hopId, side: 'SIDE_CALLEE' })],
  });
  expect(record.reader.totals(nowUs).oneSided).toBe(0);
  expect(record.writer.sweep()).toEqual({ found: 0, resolved: 1 });
  expect(openFindings()).toEqual([]);
  expect(record.reader.findings({ openOnly: false, afterId: 0 }, 10)).toMatchObject([
    { foundUs: nowUs, resolvedUs: nowUs },
  ]);
});

test('a callee without its caller is another finding', async () => {
  await record.put({ reporter: PAYMENTS, firstSeq: 1, events: [sampleHop({ side: 'SIDE_CALLEE' })] });
  nowUs += OVERDUE_US + 1;
  record.writer.sweep();
  expect(openFindings()).toMatchObject([{ kind: 'callee_without_caller' }]);
});

test('a gap of sequence numbers is a finding, and what comes late in it is stored once', async () => {
  await record.put({ reporter: ORDERS, firstSeq: 1, events: [sampleHop()] });
  await record.put({ reporter: ORDERS, firstSeq: 5, events: [sampleHop(), sampleHop()] });
  expect(openFindings()).toEqual([{ kind: 'sequence_gap', key: `${ORDERS} ${'01'.repeat(16)} 2` }]);
  const late = sampleHop();
  await record.put({ reporter: ORDERS, firstSeq: 3, events: [late] });
  await record.put({ reporter: ORDERS, firstSeq: 3, events: [late] });
  expect(record.writer.size()).toBe(4);
  expect(record.reader.totals(nowUs).reporters).toMatchObject([{ firstSeq: 1, lastSeq: 6, events: 4 }]);
});

test('a new epoch that does not begin at 1 is a gap too', async () => {
  await record.put({ reporter: ORDERS, firstSeq: 41, events: [sampleHop()] });
  expect(openFindings()).toHaveLength(1);
});

test('a chain named before its body came is found by both once it is there', async () => {
  const chain = sampleChain();
  const hop = sampleHop({ chainId: chain.chainId });
  await record.put({ reporter: ORDERS, firstSeq: 1, events: [hop] });
  expect(record.reader.chainOfHop(hop.hop.hopId)).toMatchObject({ chain: null });
  await record.put({ reporter: PAYMENTS, firstSeq: 1, events: [], chains: [chain] });
  expect(record.reader.chainOfHop(hop.hop.hopId)?.chain).toEqual(chain);
  expect(record.reader.chainById(chain.chainId)?.events).toHaveLength(1);
});

test('a chain whose bytes are not what its id says is refused', async () => {
  const chain = { ...sampleChain(), delegationChain: 'another' };
  await expect(record.put({ reporter: ORDERS, firstSeq: 1, events: [], chains: [chain] })).rejects.toMatchObject({
    code: 'request_malformed',
  });
});

test('however often and in whatever pieces events are sent, each is stored once and in order', async () => {
  const hops = Array.from({ length: 60 }, () => sampleHop());
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(59), fc.integer({ min: 1, max: 20 })), { maxLength: 12 }),
      async (resends) => {
        const own = mkdtempSync(join(dir, 'case-'));
        const fresh = await openTestRecord(own);
        let through = 0;
        for (const [from, count] of resends) {
          // A reporter resends from anywhere up to what it has sent so far, never beyond.
          const first = Math.min(from, through);
          const events = hops.slice(first, first + count);
          const stored = await fresh.put({ reporter: ORDERS, firstSeq: first + 1, events });
          expect(stored.seq).toBe(first + events.length);
          through = Math.max(through, first + events.length);
        }
        expect(fresh.writer.size()).toBe(through);
        expect(fresh.ledger.size()).toBe(through);
        expect(fresh.reader.totals(0).reporters).toMatchObject(
          through === 0 ? [] : [{ firstSeq: 1, lastSeq: through, events: through }],
        );
        expect(fresh.reader.findings({ openOnly: false, afterId: 0 }, 10)).toEqual([]);
        fresh.close();
      },
    ),
    { numRuns: 15 },
  );
});

test('a side that another one tells makes no hop whole, and is a finding of its own', async () => {
  const { hop } = sampleHop({ side: 'SIDE_CALLEE' });
  const mallory = 'spiffe://shop.example/mallory';
  await record.put({ reporter: PAYMENTS, firstSeq: 1, events: [{ body: 'hop', hop }] });
  await record.put({
    reporter: mallory,
    firstSeq: 1,
    events: [sampleHop({ hopId: hop.hopId, side: 'SIDE_CALLER', outcome: 'OUTCOME_REFUSED', refusedBy: PAYMENTS })],
  });
  nowUs += OVERDUE_US + 1;
  record.writer.sweep();
  const key = hop.hopId.toString('base64url');
  expect(openFindings()).toEqual([
    { kind: 'foreign_side', key: `${mallory} ${key}` },
    { kind: 'callee_without_caller', key },
  ]);
  expect(record.reader.totals(nowUs)).toMatchObject({ hops: 1, denied: 0, oneSided: 1 });
});

test('a chain of characters that its id does not cover cannot take the place of the true one', async () => {
  const chain = sampleChain();
  const forged = {
    ...chain,
    txnToken: String.fromCharCode(chain.txnToken.charCodeAt(0) + 256) + chain.txnToken.slice(1),
  };
  const put = (body: typeof chain) => record.put({ reporter: ORDERS, firstSeq: 1, events: [], chains: [body] });
  await expect(put(forged)).rejects.toMatchObject({ code: 'request_malformed' });
  await put(chain);
  expect(record.reader.chainById(chain.chainId)?.chain).toEqual(chain);
});

test('a request with more events than a turn should take, or a chain beyond all limits, is refused', async () => {
  const many = Array.from({ length: 4_097 }, () => ({ body: 'part', part: { state: 's', detail: '' } }) as const);
  await expect(record.put({ reporter: ORDERS, firstSeq: 1, events: many })).rejects.toMatchObject({
    code: 'request_malformed',
  });
  const chain = sampleChain('x'.repeat(70_000));
  await expect(record.put({ reporter: ORDERS, firstSeq: 1, events: [], chains: [chain] })).rejects.toMatchObject({
    code: 'request_malformed',
  });
});

test('a call to the outside has one side only, that of its caller, and is whole with it', () => {
  const { hop } = sampleHop({ side: 'SIDE_EXIT', callee: '', exit: 'bank' });
  const report = reportOf(hop, ORDERS);
  expect(report.due & ~report.side).toBe(0);
  expect(report.side).not.toBe(0);
  expect(reportOf(hop, PAYMENTS).side).toBe(0);
});

/** A chain from `front` over ORDERS to PAYMENTS as its parts are read, with no signature worth anything. */
function readableChain(subject: string, txn: string): ReturnType<typeof sampleChain> {
  const part = (claims: object): string => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;
  const body = {
    txnToken: part({ sub: subject, txn, req_wl: 'spiffe://shop.example/front' }),
    delegationChain: [ORDERS, PAYMENTS].map((aud) => part({ aud })).join(', '),
    delegationCredentials: 'x.x.x, x.x.x',
  };
  return { ...body, chainId: chainIdOf(body) };
}

const ADA = 'u:AAECAwQFBgcICQoLDA0ODw';
const TXN = 'q83vEjRWeJq83vEjRWeJqw';

async function putCall(caller: Partial<Hop>, callee: Partial<Hop>, isBodyFirst = true): Promise<void> {
  const chain = readableChain(ADA, TXN);
  const { hop } = sampleHop({ chainId: chain.chainId });
  const body = (isFirst: boolean) => (isFirst === isBodyFirst ? [chain] : []);
  await record.put({
    reporter: ORDERS,
    firstSeq: 1,
    events: [{ body: 'hop', hop: { ...hop, ...caller } }],
    chains: body(true),
  });
  await record.put({
    reporter: PAYMENTS,
    firstSeq: 1,
    events: [sampleHop({ ...hop, personal: samplePersonal(), side: 'SIDE_CALLEE', ...callee })],
    chains: body(false),
  });
}

function detailOf(kind: string): unknown {
  const found = record.reader.findings({ openOnly: true, afterId: 0 }, 100).filter((one) => one.kind === kind);
  expect(found).toHaveLength(1);
  return JSON.parse(found[0]!.detail);
}

test('two sides that tell the same, and what their chain says, are no finding', async () => {
  await putCall({}, {});
  expect(openFindings()).toEqual([]);
});

test('a side that gives the hop to another user disagrees with the other side and with the chain', async () => {
  await putCall({}, { personal: samplePersonal({ subject: 'u:somebody-else' }) });
  expect(detailOf('sides_disagree')).toEqual({ reporters: [ORDERS, PAYMENTS], differ: ['subject'] });
  expect(detailOf('chain_mismatch')).toEqual({ reporter: PAYMENTS, differ: ['subject'] });
});

test('so does one that leaves the user out, or tells of another transaction or chain', async () => {
  await putCall({}, { personal: null, chainId: Buffer.alloc(0), txn: 'another' });
  expect(detailOf('sides_disagree')).toMatchObject({ differ: ['txn', 'subject', 'chain'] });
});

test('a side that refused before it knew the delegation says less, and does not disagree', async () => {
  const refused = { outcome: 'OUTCOME_REFUSED', refusedBy: PAYMENTS, code: 'delegation_expired' } as const;
  await putCall(refused, { ...refused, personal: null, chainId: Buffer.alloc(0), txn: '' });
  expect(openFindings()).toEqual([]);
});

test('a hop that its chain was not handed over for is found, also where the chain comes after it', async () => {
  await putCall({ callee: 'spiffe://shop.example/elsewhere' }, { callee: PAYMENTS }, false);
  expect(detailOf('chain_mismatch')).toEqual({ reporter: ORDERS, differ: ['callee'] });
  expect(detailOf('sides_disagree')).toMatchObject({ differ: ['callee'] });
});

test('both sides lie in the same way: the chain does not', async () => {
  const personal = samplePersonal({ subject: 'u:somebody-else' });
  await putCall({ personal }, { personal: { ...personal, salt: Buffer.alloc(16, 7) } });
  expect(openFindings().map(({ kind }) => kind)).toEqual(['chain_mismatch', 'chain_mismatch']);
});

test('a caller that refused by itself names the chain that it holds, which is no finding', async () => {
  const chain = readableChain(ADA, TXN);
  const held = { caller: PAYMENTS, callee: 'spiffe://shop.example/next', chainId: chain.chainId };
  const hop = sampleHop({ ...held, outcome: 'OUTCOME_REFUSED', refusedBy: PAYMENTS, code: 'policy_denied' });
  await record.put({ reporter: PAYMENTS, firstSeq: 1, events: [hop], chains: [chain] });
  expect(openFindings()).toEqual([]);
});
