/** A sidecar that gives the same money to two services: each chain is good, both together are a finding. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PAYMENTS } from '../../audit/testing/sample-events.ts';
import { parseChain } from '../../delegation/index.ts';
import { type ForgedHop, forge } from '../../delegation/test-forge.ts';
import { createTestMesh } from '../../delegation/test-mesh.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import { openTestRecord, type TestRecord } from '../testing/record.ts';

const mesh = createTestMesh();
const DAY_US = 24 * 3_600 * 1_000_000;
let dir: string;
let nowUs: number;
let record: TestRecord;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-overspending-'));
  nowUs = 1_000_000;
  record = await openTestRecord(dir, () => nowUs);
});
afterEach(() => {
  record.close();
  rmSync(dir, { recursive: true });
});

type Entry = Record<string, unknown>;
const pay = (amount: string, more: Entry = {}): Entry => ({
  type: 'payment',
  limit: { currency: 'EUR', amount },
  ...more,
});
/** A hop that hands on these entries; undefined leaves the claim out. */
const hop = (to: string, ...left: Entry[]): ForgedHop => ({ to, claims: { authorization_details: left } });

/** A chain of one root, whose links' `jti`s are this sibling's own. */
function chainOf(rootDetails: Entry[], sibling: number, ...hops: ForgedHop[]): ChainBody {
  const { tctx } = mesh.rootClaims();
  const own = hops.map(({ to, claims }, i): ForgedHop => {
    const jti = Buffer.from([i, sibling, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).toString('base64url');
    return { to, claims: { ...claims, jti } };
  });
  const headers = forge(mesh, { root: { tctx: { ...tctx, authorization_details: rootDetails } }, hops: own });
  return { ...headers, chainId: parseChain(headers).chainId };
}

async function findingsAfter(...chains: ChainBody[]) {
  for (const chain of chains) await record.put({ reporter: PAYMENTS, firstSeq: 1, events: [], chains: [chain] });
  return record.reader
    .findings({ openOnly: true, afterId: 0 }, 10)
    .map(({ kind, detail }) => ({ kind, ...JSON.parse(detail) }));
}

test('siblings within the limit are no finding, the one above it is, and names who signed', async () => {
  const root = [pay('100.00')];
  const [first, second, third] = ['60.00', '40.00', '0.01'].map((amount, i) =>
    chainOf(root, i, hop('orders', pay(amount))),
  ) as [ChainBody, ChainBody, ChainBody];
  expect(await findingsAfter(first, second)).toEqual([]);
  expect(await findingsAfter(third)).toEqual([
    {
      kind: 'details_overspent',
      reporter: PAYMENTS,
      signer: mesh.workload('storefront').spiffeId,
      links: 3,
    },
  ]);
});

test('a link that leaves the claim out hands on all of it', async () => {
  const root = [pay('100.00')];
  const whole = (i: number, to: string) => chainOf(root, i, { to });
  expect(await findingsAfter(whole(1, 'orders'))).toEqual([]);
  expect(await findingsAfter(whole(2, 'payments'))).toMatchObject([{ kind: 'details_overspent', links: 2 }]);
});

test('the middle of a chain is watched like its beginning', async () => {
  const root = [pay('100.00')];
  const first = hop('orders', pay('50.00'));
  const split = (amount: string) => {
    const headers = chainOf(root, 7, first, hop('payments', pay(amount)));
    return headers;
  };
  expect(await findingsAfter(split('30.00'))).toEqual([]);
  expect(await findingsAfter(split('20.01'))).toMatchObject([
    { kind: 'details_overspent', signer: mesh.workload('orders').spiffeId },
  ]);
});

test('one chain reported twice, and one link in many chains, counts once', async () => {
  const root = [pay('10.00')];
  const shared = hop('orders', pay('10.00'));
  const onward = (amount: string) => chainOf(root, 3, shared, hop('payments', pay(amount)));
  const all = [chainOf(root, 3, shared), chainOf(root, 3, shared), onward('4.00'), onward('6.00')];
  expect(await findingsAfter(...all)).toEqual([]);
});

test('one entry may be overspent while all together are not', async () => {
  const root = [pay('10.00', { creditorName: 'A' }), pay('10.00', { creditorName: 'B' })];
  const toA = (i: number) => chainOf(root, i, hop('orders', pay('10.00', { creditorName: 'A' })));
  expect(await findingsAfter(toA(1))).toEqual([]);
  expect(await findingsAfter(toA(2))).toMatchObject([{ kind: 'details_overspent' }]);
});

test('parts that fit some division of alike entries are no finding', async () => {
  const root = [pay('10.00'), pay('20.00')];
  const part = (i: number, amount: string) => chainOf(root, i, hop('orders', pay(amount)));
  expect(await findingsAfter(part(1, '10.00'), part(2, '10.00'), part(3, '10.00'))).toEqual([]);
  expect(await findingsAfter(part(4, '0.01'))).toMatchObject([{ kind: 'details_overspent', links: 4 }]);
});

test('shares are forgotten after a week, and nothing of whom they concern is in their table', async () => {
  const root = [pay('10.00', { creditorName: 'ACME' })];
  await findingsAfter(chainOf(root, 1, hop('orders', pay('10.00', { creditorName: 'ACME' }))));
  nowUs += 8 * DAY_US;
  record.writer.sweep();
  expect(await findingsAfter(chainOf(root, 2, hop('orders', pay('10.00', { creditorName: 'ACME' }))))).toEqual([]);
});
