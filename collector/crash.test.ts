import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodeEvent } from '../audit/event/index.ts';
import { consistencyProof, openCheckpoint, parseVkey, verifyConsistency } from '../audit/merkle/index.ts';
import { openReporter } from '../audit/report/index.ts';
import { sampleChain, sampleHop } from '../audit/testing/sample-events.ts';
import { readLogFolder, verifyLog } from '../audit/verify-log/index.ts';
import { connectService } from '../identity/mtls/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../identity/testing/issuer.ts';
import { auditQuery } from '../proto/behalf/audit/v1/audit.ts';
import type { CollectorReady } from './start.ts';
import { checkRecord } from './store/check-record.ts';
import { openTestRecord } from './testing/record.ts';

const TD = 'spiffe://shop.example';
const PROGRAM = fileURLToPath(new URL('testing/collector-process.ts', import.meta.url));
const log = pino({ level: 'silent' });

let dir: string;
let issuer: TestIssuer;
let collectorIdentity: TestIdentity;
let children: ChildProcess[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-crash-'));
  issuer = await createTestIssuer('shop.example');
  collectorIdentity = await issuer.issue(`${TD}/behalf/collector`);
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function start(port: number): Promise<{ child: ChildProcess; ready: CollectorReady }> {
  const { witKey, ...issued } = collectorIdentity.current();
  const witKeyPem = witKey.export({ type: 'pkcs8', format: 'pem' });
  const given = {
    dataDir: dir,
    listen: `127.0.0.1:${port}`,
    bundle: issuer.bundle().document,
    issued: { ...issued, witKeyPem },
  };
  const child = spawn(process.execPath, [PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, COLLECTOR: JSON.stringify(given) },
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    return { child, ready: JSON.parse(line) as CollectorReady };
  }
  throw new Error('the collector ended before it was ready');
}

test('a collector killed again and again while events come in loses none, stores none twice, and never contradicts a checkpoint', {
  timeout: 120_000,
}, async () => {
  const port = await freePort();
  const spoolDir = join(dir, 'reporter');
  const identity = await issuer.issue(`${TD}/ns/demo/sa/orders`);
  const reporter = openReporter({
    spoolDir,
    collectorAddress: `127.0.0.1:${port}`,
    identity,
    log,
    signal: new AbortController().signal,
  });
  let recording = true;
  let hops = 0;
  const chains = Array.from({ length: 20 }, () => sampleChain());
  const traffic = (async () => {
    while (recording) {
      for (let index = 0; index < 7; index++) {
        const chain = chains[hops % chains.length]!;
        reporter.recordChain(chain);
        void reporter.record(sampleHop({ chainId: chain.chainId }));
        hops++;
      }
      await reporter.record(sampleHop());
      hops++;
      // As much as keeps the collector busy, and no more than it can take.
      while (recording && hops - reporter.state().storedThrough > 2_000)
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();

  const checkpoints: string[] = [];
  let logKey = '';
  for (let round = 0; round < 6; round++) {
    const { child, ready } = await start(port);
    logKey = ready.logKey;
    const before = reporter.state().storedThrough;
    // Killed at another moment each time: somewhere between the record, the tiles, the checkpoint and the acknowledgement.
    await expect
      .poll(() => reporter.state().storedThrough, { timeout: 20_000, interval: 1 })
      .toBeGreaterThan(before + 10 + round * 61);
    child.kill('SIGKILL');
    await once(child, 'exit');
    checkpoints.push(readFileSync(join(ready.logDir, 'checkpoint'), 'utf8'));
    const folder = readLogFolder(ready.logDir);
    expect(verifyLog({ checkpoint: checkpoints.at(-1)!, vkey: logKey, folder })).toMatchObject({ ok: true });
  }
  recording = false;
  await traffic;
  const { child, ready } = await start(port);
  await expect.poll(() => reporter.state().storedThrough, { timeout: 30_000 }).toBe(hops);

  const query = connectService(auditQuery, {
    address: ready.address,
    identity: await issuer.issue(`${TD}/behalf/operator/root`),
    expect: null,
    log,
  });
  const summary = await query.summary({});
  expect(summary.reporters.find(({ reporter }) => reporter.endsWith('/orders'))).toMatchObject({
    firstSeq: 1,
    lastSeq: hops,
    events: hops,
  });
  expect(summary.hops).toBe(hops);
  expect((await query.listFindings({})).findings).toEqual([]);
  const hop = (await query.listHops({ limit: 1 })).events[0]!;
  const event = decodeEvent(hop.event);
  const chain = event.body === 'hop' ? await query.getChain({ hopId: event.hop.hopId }) : null;
  expect(chain?.chain).toEqual(chains[0]);
  query.close();
  await reporter.close();
  child.kill('SIGTERM');
  await once(child, 'exit');

  const newest = readFileSync(join(ready.logDir, 'checkpoint'), 'utf8');
  const folder = readLogFolder(ready.logDir);
  const signed = openCheckpoint(newest, parseVkey(logKey));
  expect(verifyLog({ checkpoint: newest, vkey: logKey, folder })).toMatchObject({ ok: true });
  expect(checkRecord({ file: join(dir, 'record.sqlite'), folder, size: signed.size })).toMatchObject({
    ok: true,
    events: signed.size,
  });
  for (const older of checkpoints) {
    expect(verifyLog({ checkpoint: older, vkey: logKey, folder })).toMatchObject({ ok: true });
  }
});

test('whatever of the log’s files is lost or torn is made again from the record at the next start', async () => {
  const record = await openTestRecord(dir);
  await record.put({ reporter: TD, firstSeq: 1, events: Array.from({ length: 300 }, () => sampleHop()) });
  const before = record.ledger.checkpoint();
  record.close();
  const files = ['checkpoint', 'tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1', 'tile/entries/001.p/44'];
  for (const path of files) {
    rmSync(join(record.logDir, path));
    const again = await openTestRecord(dir);
    expect(openCheckpoint(again.ledger.checkpoint(), parseVkey(again.vkey)).size).toBe(300);
    expect(again.ledger.checkpoint()).toBe(before);
    again.close();
    expect(verifyLog({ checkpoint: before, vkey: record.vkey, folder: readLogFolder(record.logDir) })).toMatchObject({
      ok: true,
    });
  }
});

test('a record that lost events that were signed is refused with log_inconsistent', async () => {
  const record = await openTestRecord(dir);
  await record.put({ reporter: TD, firstSeq: 1, events: [sampleHop(), sampleHop()] });
  record.close();
  rmSync(record.file);
  await expect(openTestRecord(dir)).rejects.toMatchObject({ code: 'log_inconsistent' });
});

test('proofs between any two checkpoints come out of the files', async () => {
  const record = await openTestRecord(dir);
  const signed: { size: number; root: Buffer }[] = [];
  for (let firstSeq = 1; firstSeq < 700; firstSeq += 97) {
    await record.put({ reporter: TD, firstSeq, events: Array.from({ length: 97 }, () => sampleHop()) });
    signed.push(openCheckpoint(record.ledger.checkpoint(), parseVkey(record.vkey)));
  }
  for (const from of signed) {
    for (const to of signed.filter(({ size }) => size >= from.size)) {
      const proof = consistencyProof(from.size, to.size, record.ledger.subtrees(to.size));
      expect(verifyConsistency(from.size, from.root, to.size, to.root, proof)).toBe(true);
    }
  }
  record.close();
});
