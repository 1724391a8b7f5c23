import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ChainBody, Event } from '../../proto/behalf/audit/v1/audit.ts';
import { decodeEvent, encodeEvent } from '../event/index.ts';
import { sampleChain, sampleEnd, sampleHop } from '../testing/sample-events.ts';
import { openSpool, type Spool, type SpoolIo, type SpoolOptions } from './index.ts';

let dir: string;
let opened: Spool[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-spool-'));
  opened = [];
});

afterEach(async () => {
  for (const spool of opened) await spool.close();
  rmSync(dir, { recursive: true });
});

function open(options: Partial<SpoolOptions> = {}): Spool {
  const spool = openSpool({ dir, durability: 'normal', nowUs: () => 7, ...options });
  opened.push(spool);
  return spool;
}

async function readAll(spool: Spool, most = 4096): Promise<{ events: Event[]; chains: ChainBody[] }> {
  const events: Event[] = [];
  const chains: ChainBody[] = [];
  let cursor = spool.first();
  for (let read = await spool.read(cursor, most); read !== null; read = await spool.read(cursor, most)) {
    events.push(...read.batch.events.map((bytes) => decodeEvent(bytes)));
    chains.push(...read.batch.chains);
    cursor = read.next;
  }
  return { events, chains };
}

function segmentFiles(): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.spool'))
    .sort();
}

test.each(['normal', 'strict'] as const)(
  'what was appended is read back in order, numbered from 1 (%s)',
  async (durability) => {
    const spool = open({ durability });
    const hops = Array.from({ length: 50 }, () => sampleHop());
    await Promise.all(hops.map((hop) => spool.append(hop)));
    const { events } = await readAll(spool);
    expect(events).toEqual(hops.map((hop, index) => ({ ...hop, seq: index + 1, epoch: spool.epoch, timeUs: 7 })));
  },
);

test('all events of a turn share one promise, which resolves when they are in the file', async () => {
  const spool = open();
  const first = spool.append(sampleHop());
  expect(spool.append(sampleHop())).toBe(first);
  const before = readFileSync(join(dir, segmentFiles()[0]!)).length;
  await first;
  expect(readFileSync(join(dir, segmentFiles()[0]!)).length).toBeGreaterThan(before + 200);
});

test('a reopened spool keeps its epoch and counts on', async () => {
  const first = open();
  await first.append(sampleHop());
  await first.close();
  const second = open();
  expect(second.epoch.equals(first.epoch)).toBe(true);
  await second.append(sampleHop());
  expect((await readAll(second)).events.map((event) => event.seq)).toEqual([1, 2]);
});

test('chain bodies stand before the events that follow them', async () => {
  const spool = open();
  const [a, b] = [sampleChain(), sampleChain()];
  spool.appendChain(a);
  spool.append(sampleHop());
  await spool.appendChain(b);
  expect((await readAll(spool)).chains).toEqual([a, b]);
});

test('a torn tail of any length is cut off, and all before it stays', async () => {
  const spool = open();
  for (let index = 0; index < 5; index++) await spool.append(sampleHop());
  await spool.close();
  const path = join(dir, segmentFiles()[0]!);
  const whole = readFileSync(path);
  const lastBegins = whole.length - lengthOfLast(whole);
  for (let cut = lastBegins; cut < whole.length; cut += 7) {
    writeFileSync(path, whole.subarray(0, cut));
    const torn = open();
    expect((await readAll(torn)).events.map((event) => event.seq)).toEqual([1, 2, 3, 4]);
    expect(torn.recovered.tornBytes).toBe(cut - lastBegins);
    await torn.append(sampleHop());
    expect((await readAll(torn)).events.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5]);
    await torn.close();
  }
});

/** Length of the last record, by walking the format. */
function lengthOfLast(bytes: Buffer): number {
  let [at, length] = [32, 0];
  while (at < bytes.length) {
    length = 9 + bytes.readUInt32BE(at);
    at += length;
  }
  return length;
}

test('after a loss of power no number is given twice, since the collector may have what the disk has not', async () => {
  const first = open({ boot: 'one' });
  for (let index = 0; index < 10; index++) await first.append(sampleHop());
  // What the machine had when it stopped: the last five events were delivered and never on disk.
  const [file = ''] = segmentFiles();
  const bytes = readFileSync(join(dir, file));
  const mark = readFileSync(join(dir, 'power.json'));
  const { events } = await readAll(first);
  await first.close();
  const whole = events.slice(0, 5).reduce((length, event) => length + 9 + encodeEvent(event).length, 32 + 9);
  writeFileSync(join(dir, file), bytes.subarray(0, whole));
  writeFileSync(join(dir, 'power.json'), mark);

  const second = open({ boot: 'two' });
  expect(second.recovered).toMatchObject({ lostEvents: 0, skippedNumbers: 1_000_000 });
  const hop = sampleHop({ goesOn: true });
  await second.append(hop);
  expect((await readAll(second)).events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 1_000_006]);
  await second.close();
  // Stopped in order, or in the same boot, nothing is skipped, and what was skipped is not told as lost.
  const third = open({ boot: 'three' });
  expect(third.recovered).toEqual({ unknownHops: 1, tornBytes: 0, lostEvents: 0, skippedNumbers: 0 });
  expect(third.state().nextSeq).toBe(1_000_008);
});

test('the death of the process alone skips no number', async () => {
  const first = open({ boot: 'one' });
  await first.append(sampleHop());
  const mark = readFileSync(join(dir, 'power.json'));
  await first.close();
  writeFileSync(join(dir, 'power.json'), mark);
  expect(open({ boot: 'one' }).state().nextSeq).toBe(2);
});

test('a segment that was not yet born when the process died is removed', async () => {
  const spool = open({ segmentBytes: 600 });
  for (let index = 0; index < 4; index++) await spool.append(sampleHop());
  await spool.close();
  const files = segmentFiles();
  expect(files.length).toBeGreaterThan(1);
  writeFileSync(join(dir, `${'9'.padStart(16, '0')}.spool`), Buffer.from('BHLFSPL1'));
  const again = open({ segmentBytes: 600 });
  expect(segmentFiles()).toEqual(files);
  await again.append(sampleHop());
  expect((await readAll(again)).events.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5]);
});

test('a torn older segment loses what is torn, says how much, and goes on', async () => {
  const spool = open({ segmentBytes: 600 });
  for (let index = 0; index < 6; index++) await spool.append(sampleHop());
  await spool.close();
  const path = join(dir, segmentFiles()[0]!);
  writeFileSync(path, readFileSync(path).subarray(0, -5));
  const again = open({ segmentBytes: 600 });
  expect(again.recovered.lostEvents).toBe(1);
  const seqs = (await readAll(again)).events.map((event) => event.seq);
  expect(seqs).toHaveLength(5);
  expect(seqs.at(-1)).toBe(6);
});

test('hops that were open are closed as unknown after a restart, once, also when their segment is gone', async () => {
  const spool = open({ segmentBytes: 600 });
  const opening = sampleHop({ goesOn: true });
  const closed = sampleHop({ goesOn: true });
  await spool.append(opening);
  await spool.append(closed);
  await spool.append(sampleEnd(closed.hop));
  for (let index = 0; index < 10; index++) await spool.append(sampleHop());
  spool.acknowledge(11);
  expect((await readAll(spool)).events[0]!.seq).toBeGreaterThan(3);
  await spool.close();
  const again = open({ segmentBytes: 600 });
  expect(again.recovered.unknownHops).toBe(1);
  const ends = (await readAll(again)).events.filter((event) => event.body === 'hopEnd');
  expect(ends.at(-1)).toMatchObject({
    seq: 14,
    hopEnd: { hopId: opening.hop.hopId, requestId: opening.hop.requestId, outcome: 'OUTCOME_UNKNOWN' },
  });
  await again.close();
  expect(open({ segmentBytes: 600 }).recovered.unknownHops).toBe(0);
});

test('a full spool refuses with audit_unavailable, still takes the ends of open hops, and takes more once acknowledged', async () => {
  const spool = open({ segmentBytes: 2_000, maxBytes: 12_000 });
  const opened = sampleHop({ goesOn: true });
  await spool.append(opened);
  let count = 1;
  try {
    for (;;) {
      await spool.append(sampleHop());
      count++;
    }
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'audit_unavailable' });
  }
  expect(count).toBeGreaterThan(10);
  expect(() => spool.appendChain(sampleChain('x'.repeat(1000)))).toThrow(/audit_unavailable/);
  await spool.append(sampleEnd(opened.hop));
  spool.acknowledge(count + 1);
  expect(segmentFiles()).toHaveLength(1);
  await spool.append(sampleHop());
  expect((await readAll(spool)).events.at(-1)!.seq).toBe(count + 2);
});

/** The real disk, but the next writes or syncs fail: before anything was written, halfway, or after all was. */
function faultyIo(): SpoolIo & { fail: 'lost' | 'torn' | 'kept' | 'sync' | null } {
  const io = {
    fail: null as 'lost' | 'torn' | 'kept' | 'sync' | null,
    write: (fd: number, bytes: Buffer, length: number, position: number) => {
      const written = io.fail === 'lost' ? 0 : io.fail === 'torn' ? length - 3 : length;
      if (written > 0) writeSync(fd, bytes, 0, written, position);
      if (io.fail !== null && io.fail !== 'sync')
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    },
    sync: (_fd: number, done: (error: Error | null) => void) => {
      setImmediate(() => done(io.fail === 'sync' ? new Error('input/output error') : null));
    },
  };
  return io;
}

test.each(['lost', 'torn', 'kept'] as const)(
  'a write that the disk refuses (%s) takes no number, and the spool goes on',
  async (fail) => {
    const io = faultyIo();
    const spool = open({ io });
    await spool.append(sampleHop());
    const openHop = sampleHop({ goesOn: true });
    io.fail = fail;
    spool.append(openHop).catch(() => undefined);
    await expect(spool.append(sampleHop())).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(spool.state()).toMatchObject({ nextSeq: 2, openHops: 0 });
    io.fail = null;
    const last = sampleHop();
    await spool.append(last);
    await spool.close();
    const again = open();
    const { events } = await readAll(again);
    expect(events.map((event) => event.seq)).toEqual([1, 2]);
    expect(events[1]).toMatchObject(last);
  },
);

test('a write that was kept but reported failed, and then the process died, is one event more and no gap', async () => {
  const io = faultyIo();
  const spool = open({ io });
  await spool.append(sampleHop());
  io.fail = 'kept';
  await expect(spool.append(sampleHop())).rejects.toMatchObject({ code: 'audit_unavailable' });
  await spool.close();
  const again = open();
  expect((await readAll(again)).events.map((event) => event.seq)).toEqual([1, 2]);
  await again.append(sampleHop());
  expect((await readAll(again)).events.map((event) => event.seq)).toEqual([1, 2, 3]);
});

test('after a failed sync nothing is promised any more until the spool is opened anew', async () => {
  const io = faultyIo();
  const spool = open({ io, durability: 'strict' });
  await spool.append(sampleHop());
  io.fail = 'sync';
  await expect(spool.append(sampleHop())).rejects.toMatchObject({ code: 'audit_unavailable' });
  io.fail = null;
  expect(() => spool.append(sampleHop())).toThrow(/audit_unavailable/);
});

test('in strict mode nothing is delivered before it is synced', async () => {
  let release: (() => void) | null = null;
  const io: SpoolIo = {
    write: (fd, bytes, length, position) => void writeSync(fd, bytes, 0, length, position),
    sync: (_fd, done) => {
      release = () => done(null);
    },
  };
  const spool = open({ io, durability: 'strict' });
  const appended = spool.append(sampleHop());
  await expect.poll(() => release).not.toBeNull();
  expect((await readAll(spool)).events).toHaveLength(0);
  release!();
  await appended;
  expect((await readAll(spool)).events).toHaveLength(1);
});

test('a second process, or a second opening, is refused with data_directory_unusable', () => {
  open();
  expect(() => openSpool({ dir, durability: 'normal', nowUs: () => 7 })).toThrow(/data_directory_unusable/);
});

test('any sequence of appends, ends, acknowledgements and reopenings keeps numbers gap-free and order', async () => {
  const step = fc.constantFrom('append', 'opens', 'chain', 'acknowledge', 'reopen', 'turn');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const own = mkdtempSync(join(dir, 'case-'));
      const options: SpoolOptions = {
        dir: own,
        durability: 'normal',
        nowUs: () => 7,
        segmentBytes: 1_500,
        maxBytes: 1_000_000,
      };
      let spool = openSpool(options);
      let acknowledged = 0;
      let opened = 0;
      let appended = 0;
      for (const name of steps) {
        if (name === 'append') spool.append(sampleHop());
        if (name === 'opens') spool.append(sampleHop({ goesOn: true }));
        if (name === 'append' || name === 'opens') appended++;
        if (name === 'opens') opened++;
        if (name === 'chain') spool.appendChain(sampleChain());
        if (name === 'turn') await new Promise((resolve) => setImmediate(resolve));
        if (name === 'acknowledge') {
          acknowledged = spool.state().nextSeq - 1;
          await new Promise((resolve) => setImmediate(resolve));
          spool.acknowledge(acknowledged);
        }
        if (name === 'reopen') {
          await spool.close();
          spool = openSpool(options);
          appended += opened;
          expect(spool.recovered.unknownHops).toBe(opened);
          opened = 0;
        }
      }
      await new Promise((resolve) => setImmediate(resolve));
      const seqs = (await readAll(spool, 700)).events.map((event) => event.seq);
      await spool.close();
      expect(seqs.at(-1) ?? appended).toBe(appended);
      expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
      expect((seqs[0] ?? 1) <= acknowledged + 1).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('whatever a writer was told is on record is there after kill -9, with no gap', { timeout: 60_000 }, async () => {
  const program = fileURLToPath(new URL('../testing/spool-writer.ts', import.meta.url));
  let confirmed = 0;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [program, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const killAt = confirmed + 40 + round * 37;
    for await (const line of createInterface({ input: child.stdout })) {
      confirmed = Math.max(confirmed, Number(line));
      if (confirmed >= killAt) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    const spool = openSpool({ dir, durability: 'normal', nowUs: () => 7 });
    const seqs = (await readAll(spool, 1_000_000)).events.map((event) => event.seq);
    await spool.close();
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    expect(seqs.length).toBeGreaterThanOrEqual(confirmed);
  }
});
