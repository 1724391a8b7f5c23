import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { createGrpcServer } from '../../identity/mtls/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import { auditIntake, type ReportRequest, type ReportResponse } from '../../proto/behalf/audit/v1/audit.ts';
import type { Sent } from '../../proto/service.ts';
import { decodeEvent, defectOfChain } from '../event/index.ts';
import { ORDERS, sampleChain, sampleHop } from '../testing/sample-events.ts';
import { openReporter, type Reporter, type ReporterOptions } from './index.ts';

const log = pino({ level: 'silent' });
type Intake = ServerDuplexStream<ReportRequest, Sent<ReportResponse>>;

let dir: string;
let issuer: TestIssuer;
let collectorIdentity: TestIdentity;
let orders: TestIdentity;
let stops: (() => Promise<void>)[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-report-'));
  issuer = await createTestIssuer('shop.example');
  collectorIdentity = await issuer.issue('spiffe://shop.example/behalf/collector');
  orders = await issuer.issue(ORDERS);
  stops = [];
});

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  rmSync(dir, { recursive: true });
});

/** A collector that keeps what it is sent, and acknowledges and fails as the test says. */
interface Intakes {
  readonly address: string;
  readonly seqs: number[];
  readonly chains: string[];
  streams: number;
  acknowledge: boolean;
  /** Ends the stream at the event with this number, before it counts. */
  failAt: number | null;
  /** Refuses every request that holds an event with one of these numbers as malformed. */
  malformed: readonly number[];
}

async function intake(): Promise<Intakes> {
  const server = createGrpcServer({ identity: collectorIdentity, log });
  const state = {
    address: '',
    seqs: [] as number[],
    chains: [] as string[],
    streams: 0,
    acknowledge: true,
    failAt: null as number | null,
    malformed: [] as readonly number[],
  };
  server.add(auditIntake, {
    report: (stream: Intake) =>
      new Promise((resolve, reject) => {
        state.streams++;
        stream.on('data', ({ events, chains }: ReportRequest) => {
          const isMalformed = chains.some((chain) => defectOfChain(chain) !== null);
          if (isMalformed || events.some((bytes) => state.malformed.includes(decodeEvent(bytes).seq)))
            return reject(new BehalfError('request_malformed', { why: 'test' }));
          state.chains.push(...chains.map(({ chainId }) => chainId.toString('hex')));
          for (const bytes of events) {
            const { seq, epoch } = decodeEvent(bytes);
            if (seq === state.failAt) {
              state.failAt = null;
              return reject(new Error('the disk is gone'));
            }
            state.seqs.push(seq);
            if (state.acknowledge) stream.write({ epoch, storedThrough: seq });
          }
        });
        stream.on('end', () => {
          stream.end();
          resolve();
        });
        stream.on('cancelled', resolve);
        stream.on('error', () => resolve());
      }),
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  stops.push(server.close);
  return Object.assign(state, { address: `127.0.0.1:${port}` });
}

function reporter(collectorAddress: string, options: Partial<ReporterOptions> = {}): Reporter {
  const made = openReporter({
    spoolDir: join(dir, 'spool'),
    collectorAddress,
    identity: orders,
    log,
    signal: new AbortController().signal,
    ...options,
  });
  stops.push(made.close);
  return made;
}

async function stored(made: Reporter): Promise<void> {
  await expect.poll(() => made.state().storedThrough, { timeout: 10_000, interval: 5 }).toBe(made.state().recorded);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

test('events arrive in order, and a chain once, however many events name it', async () => {
  const collector = await intake();
  const made = reporter(collector.address);
  const chain = sampleChain();
  for (let index = 0; index < 100; index++) {
    made.recordChain(chain);
    await made.record(sampleHop({ chainId: chain.chainId }));
  }
  await stored(made);
  expect(collector.seqs).toEqual(upTo(100));
  expect(collector.chains).toEqual([chain.chainId.toString('hex')]);
});

test('after a failed stream everything that was not acknowledged is sent again, nothing is skipped', async () => {
  const collector = await intake();
  collector.failAt = 30;
  const made = reporter(collector.address);
  for (let index = 0; index < 60; index++) {
    made.recordChain(sampleChain());
    await made.record(sampleHop());
  }
  await stored(made);
  expect([...new Set(collector.seqs)]).toEqual(upTo(60));
  expect(new Set(collector.chains).size).toBe(60);
  expect(collector.streams).toBeGreaterThan(1);
});

test('an event that the collector takes for malformed is left out, with an event that says so; all others arrive', async () => {
  const collector = await intake();
  collector.malformed = [3, 4, 9];
  const made = reporter(collector.address);
  const chain = sampleChain();
  for (let index = 0; index < 20; index++) {
    if (index === 10) made.recordChain(chain);
    await made.record(sampleHop());
  }
  await expect.poll(() => made.state().storedThrough, { timeout: 10_000, interval: 5 }).toBe(23);
  expect([...new Set(collector.seqs)]).toEqual(upTo(23).filter((seq) => ![3, 4, 9].includes(seq)));
  expect(collector.chains).toContain(chain.chainId.toString('hex'));
  // Back to whole batches: nothing more is lost, and one stream does for the rest.
  const { streams } = collector;
  await made.record(sampleHop());
  await stored(made);
  expect(collector.streams).toBe(streams);
});

test('a chain that the collector would not take costs no event', async () => {
  const collector = await intake();
  const made = reporter(collector.address);
  made.recordChain({ ...sampleChain(), txnToken: 'é' });
  for (let index = 0; index < 5; index++) await made.record(sampleHop());
  await stored(made);
  expect(collector.seqs).toEqual(upTo(5));
  expect(collector.chains).toEqual([]);
});

test('a wall clock that is set back while the collector is away does not hold up the delivery', async () => {
  const collector = await intake();
  collector.failAt = 1;
  const made = reporter(collector.address);
  const real = Date.now.bind(Date);
  await made.record(sampleHop());
  await expect.poll(() => collector.failAt).toBe(null);
  const now = vi.spyOn(Date, 'now').mockImplementation(() => real() - 40_000);
  try {
    await stored(made);
  } finally {
    now.mockRestore();
  }
});

test('a collector that acknowledges nothing gets a bounded amount, and the rest once it does', async () => {
  const collector = await intake();
  collector.acknowledge = false;
  const made = reporter(collector.address);
  const all: Promise<void>[] = [];
  for (let index = 0; index < 12_000; index++) all.push(made.record(sampleHop()));
  await Promise.all(all);
  await expect.poll(() => collector.seqs.length, { timeout: 10_000 }).toBeGreaterThan(3_000);
  const sent = collector.seqs.length;
  expect(sent).toBeLessThan(7_000);
  expect(made.state().storedThrough).toBe(0);
  collector.acknowledge = true;
  await made.close();
  const again = reporter(collector.address);
  await again.record(sampleHop());
  await stored(again);
  expect(new Set(collector.seqs).size).toBe(12_001);
});

test('record resolves while the collector is away, and refuses with audit_unavailable once the spool is full', async () => {
  const made = reporter('127.0.0.1:1', { segmentBytes: 10_000, maxBytes: 50_000 });
  await made.record(sampleHop());
  expect(made.state()).toMatchObject({ connected: false, recorded: 1, storedThrough: 0 });
  const fill = async (): Promise<void> => {
    for (;;) await made.record(sampleHop());
  };
  await expect(fill()).rejects.toMatchObject({ code: 'audit_unavailable' });
  expect(() => made.recordChain(sampleChain('x'.repeat(3_000)))).toThrow(/audit_unavailable/);
});

test('a restart delivers what is left and says what it found', async () => {
  const before = reporter('127.0.0.1:1');
  await before.record(sampleHop({ goesOn: true }));
  await before.close();
  const collector = await intake();
  const made = reporter(collector.address);
  await stored(made);
  // The opening, its unknown end, and that the spool was recovered.
  expect(collector.seqs).toEqual([1, 2, 3]);
});

test('aborting the signal closes the reporter; what is recorded then is refused', async () => {
  const collector = await intake();
  const controller = new AbortController();
  const made = reporter(collector.address, { signal: controller.signal });
  await made.record(sampleHop());
  controller.abort();
  await made.close();
  await expect(made.record(sampleHop())).rejects.toMatchObject({ code: 'audit_unavailable' });
});
