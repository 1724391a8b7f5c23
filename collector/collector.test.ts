import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodeEvent, decodeLogEntry } from '../audit/event/index.ts';
import { leafHash, openCheckpoint, parseVkey, verifyInclusion } from '../audit/merkle/index.ts';
import { openReporter, type Reporter } from '../audit/report/index.ts';
import { ORDERS, PAYMENTS, sampleChain, sampleEnd, sampleHop, samplePersonal } from '../audit/testing/sample-events.ts';
import { partId } from '../identity/index.ts';
import { connectService, type ServiceClient } from '../identity/mtls/index.ts';
import { createTestIssuer, type TestIssuer } from '../identity/testing/issuer.ts';
import { type AuditQuery, auditIntake, auditQuery, type LoggedEvent } from '../proto/behalf/audit/v1/audit.ts';
import { type CollectorReady, runCollector } from './start.ts';

const TD = 'spiffe://shop.example';
const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

let dir: string;
let issuer: TestIssuer;
let stops: (() => Promise<void> | void)[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-collector-'));
  issuer = await createTestIssuer('shop.example');
  stops = [];
});

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  rmSync(dir, { recursive: true });
});

async function collector(): Promise<{ ready: CollectorReady; stop: () => Promise<void> }> {
  const controller = new AbortController();
  const identity = await issuer.issue(`${TD}/behalf/collector`);
  const { ready, closed } = await runCollector({ dataDir: dir, listen: '127.0.0.1:0' }, identity, {
    log,
    signal: controller.signal,
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await closed;
  };
  stops.push(stop);
  return { ready, stop };
}

async function reporter(name: string, address: string): Promise<Reporter> {
  const identity = await issuer.issue(`${TD}/${name}`);
  const made = openReporter({
    spoolDir: join(dir, `spool-${name}`),
    collectorAddress: address,
    identity,
    log,
    signal: new AbortController().signal,
  });
  stops.push(made.close);
  return made;
}

async function operator(address: string, id = `${TD}/behalf/operator/root`): Promise<ServiceClient<AuditQuery>> {
  const client = connectService(auditQuery, { address, identity: await issuer.issue(id), expect: null, log });
  stops.push(() => client.close());
  return client;
}

async function delivered(reporter: Reporter): Promise<void> {
  await expect
    .poll(() => reporter.state().storedThrough, { timeout: 10_000, interval: 5 })
    .toBe(reporter.state().recorded);
}

function bodies(events: readonly LoggedEvent[]): unknown[] {
  return events.map(({ event }) => decodeEvent(event));
}

test('what is reported is in the log exactly as sent, its proof verifies, and its leaf names no person', async () => {
  const { ready } = await collector();
  const orders = await reporter('ns/demo/sa/orders', ready.address);
  const query = await operator(ready.address);
  const chain = sampleChain();
  const hop = sampleHop({ chainId: chain.chainId, personal: samplePersonal({ subject: 'u:somebody' }) });
  orders.recordChain(chain);
  await orders.record(hop);
  await delivered(orders);

  const { events } = await query.listHops({ subject: 'u:somebody' });
  expect(bodies(events)).toEqual([expect.objectContaining({ ...hop, seq: 1 })]);
  const [logged] = events as [LoggedEvent];
  expect(logged.reporter).toBe(`${TD}/ns/demo/sa/orders`);
  expect(logged.entry.includes('u:somebody')).toBe(false);
  expect(logged.entry.includes(chain.chainId)).toBe(false);
  expect(decodeLogEntry(logged.entry).chainCommitment).toHaveLength(32);

  const proof = await query.getInclusionProof({ index: logged.index });
  const checkpoint = openCheckpoint(proof.checkpoint, parseVkey(ready.logKey));
  expect(proof.leafHash.equals(leafHash(logged.entry))).toBe(true);
  expect(verifyInclusion(proof.leafHash, logged.index, checkpoint.size, proof.path, checkpoint.root)).toBe(true);
  expect((await query.getChain({ hopId: hop.hop.hopId })).chain).toEqual(chain);
  expect((await query.getChain({ chainId: chain.chainId })).events).toHaveLength(1);
  await expect(query.getChain({ hopId: Buffer.alloc(12, 9) })).rejects.toMatchObject({ code: 'not_found' });
});

test('the collector’s own start is an event like any other', async () => {
  const { ready } = await collector();
  const query = await operator(ready.address);
  await expect
    .poll(async () => bodies((await query.listEvents({ kind: 'part' })).events))
    .toEqual([
      expect.objectContaining({ body: 'part', seq: 1, part: { state: 'started', detail: 'collector, log size 0' } }),
    ]);
});

test('hops, denials and one side without the other are counted by hop id, fresh ones not as one-sided', async () => {
  const { ready } = await collector();
  const orders = await reporter('ns/demo/sa/orders', ready.address);
  const payments = await reporter('ns/demo/sa/payments', ready.address);
  const query = await operator(ready.address);
  const both = sampleHop();
  await orders.record(both);
  await payments.record(sampleHop({ hopId: both.hop.hopId, side: 'SIDE_CALLEE' }));
  const denied = sampleHop({ outcome: 'OUTCOME_REFUSED', code: 'policy_denied', refusedBy: PAYMENTS });
  await orders.record(denied);
  await payments.record(
    sampleHop({
      hopId: denied.hop.hopId,
      side: 'SIDE_CALLEE',
      outcome: 'OUTCOME_REFUSED',
      code: 'policy_denied',
      refusedBy: PAYMENTS,
    }),
  );
  await orders.record(sampleHop({ outcome: 'OUTCOME_REFUSED', code: 'delegation_missing', refusedBy: ORDERS }));
  const open = sampleHop({ side: 'SIDE_ENTRY', caller: '', goesOn: true });
  await orders.record(open);
  await orders.record(sampleEnd(open.hop));
  await orders.record(sampleHop());
  await Promise.all([delivered(orders), delivered(payments)]);
  const summary = await query.summary({});
  expect(summary).toMatchObject({ hops: 5, denied: 2, oneSided: 0 });
  expect(summary.reporters.find(({ reporter }) => reporter.endsWith('/orders'))).toMatchObject({
    firstSeq: 1,
    lastSeq: 6,
    events: 6,
  });
  expect((await query.listHops({ refusedOnly: true })).events).toHaveLength(3);
  expect((await query.listHops({ code: 'policy_denied', caller: ORDERS, limit: 1 })).more).toBe(true);
  expect((await query.listHops({ hopId: open.hop.hopId })).events).toHaveLength(2);
});

test('only operators read the record, and only a proven identity may report', async () => {
  const { ready } = await collector();
  const workload = await operator(ready.address, ORDERS);
  await expect(workload.summary({})).rejects.toMatchObject({ code: 'policy_denied' });
  await expect((await operator(ready.address, `${TD}/operator/root`)).listHops({})).rejects.toMatchObject({
    code: 'policy_denied',
  });
  const anonymous = connectService(auditIntake, {
    address: ready.address,
    bundle: issuer.bundle(),
    expect: partId(issuer.trustDomain, 'collector'),
    log,
  });
  stops.push(() => anonymous.close());
  const stream = anonymous.report();
  const failed = new Promise((resolve) => stream.once('error', resolve));
  stream.resume();
  expect(await failed).toMatchObject({ code: 14 });
});

test('events wait in the spool while the collector is away, and are in the log once it is back, once', async () => {
  const first = await collector();
  const orders = await reporter('ns/demo/sa/orders', first.ready.address);
  for (let index = 0; index < 20; index++) await orders.record(sampleHop());
  await delivered(orders);
  await orders.close();
  await first.stop();
  const away = await reporter('ns/demo/sa/orders', first.ready.address);
  for (let index = 0; index < 20; index++) await away.record(sampleHop());
  expect(away.state()).toMatchObject({ recorded: 40, storedThrough: 0 });
  await away.close();
  const second = await collector();
  const back = await reporter('ns/demo/sa/orders', second.ready.address);
  await back.record(sampleHop());
  await delivered(back);
  const summary = await (await operator(second.ready.address)).summary({});
  expect(summary.reporters.find(({ reporter }) => reporter.endsWith('/orders'))).toMatchObject({
    firstSeq: 1,
    lastSeq: 41,
    events: 41,
  });
  expect(summary.hops).toBe(41);
});

test('an event that is not canonical ends the stream with request_malformed and stores nothing after it', async () => {
  const { ready } = await collector();
  const client = connectService(auditIntake, {
    address: ready.address,
    identity: await issuer.issue(ORDERS),
    expect: null,
    log,
  });
  stops.push(() => client.close());
  const stream = client.report();
  const failed = new Promise((resolve) => stream.once('error', resolve));
  stream.resume();
  stream.write({ events: [Buffer.from('0800', 'hex')], chains: [] });
  expect(await failed).toMatchObject({ code: 3 });
  expect((await (await operator(ready.address)).summary({})).reporters.map(({ reporter }) => reporter)).not.toContain(
    ORDERS,
  );
});
