/** A record and its log in a folder, without any network: what the collector keeps, filled by a test. */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import pino from 'pino';
import { type Event, type EventBody, encodeEvent } from '../../audit/event/index.ts';
import { type NoteSigner, vkeyOf } from '../../audit/merkle/index.ts';
import type { ChainBody } from '../../proto/behalf/audit/v1/audit.ts';
import { type Log, openLog } from '../log/log.ts';
import { createRecordReader, type RecordReader } from '../store/record-reader.ts';
import { createRecordWriter, parseReport, type RecordWriter, type StoredThrough } from '../store/record-writer.ts';
import { openRecord } from '../store/schema.ts';

export interface TestRecord {
  readonly file: string;
  readonly logDir: string;
  readonly vkey: string;
  readonly writer: RecordWriter;
  readonly reader: RecordReader;
  readonly ledger: Log;
  /** Stores events of a reporter's epoch, numbered from `firstSeq` on, and publishes them. */
  readonly put: (options: {
    reporter: string;
    events: readonly EventBody[];
    firstSeq: number;
    chains?: readonly ChainBody[];
    /** When they happened, by the reporter's clock. */
    timeUs?: number;
  }) => Promise<StoredThrough>;
  readonly close: () => void;
}

const testSigner: NoteSigner = { name: 'shop.example/log', key: generateKeyPairSync('ed25519').privateKey };

/** Opens what is in `dir`, or makes it. `nowUs` is the collector's clock. */
export async function openTestRecord(dir: string, nowUs: () => number = () => 1_000): Promise<TestRecord> {
  const file = join(dir, 'record.sqlite');
  const logDir = join(dir, 'log');
  const database = openRecord(file);
  const writer = createRecordWriter(database, nowUs);
  const ledger = await openLog({ dir: logDir, source: writer, signer: testSigner, log: pino({ level: 'silent' }) });
  return {
    file,
    logDir,
    vkey: vkeyOf(testSigner),
    writer,
    reader: createRecordReader(database),
    ledger,
    async put({ reporter, events, firstSeq, chains = [], timeUs = 1_000 }) {
      const encoded = events.map((body, index) =>
        encodeEvent({ ...body, seq: firstSeq + index, epoch: Buffer.alloc(16, 1), timeUs } as Event),
      );
      const { stored } = writer.store([parseReport(reporter, { events: encoded, chains })]);
      await ledger.catchUp();
      return stored[0] as StoredThrough;
    },
    close: () => database.close(),
  };
}
