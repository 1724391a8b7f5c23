/**
 * The one writer: takes reports of all reporters in the order in which they came, stores as many as wait in one transaction,
 * publishes them in the log, and only then acknowledges. While one batch is being published the next gathers.
 */
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { Log } from '../log/log.ts';
import type { RecordWriter, Report, StoredThrough } from '../store/record-writer.ts';

/** Events in one transaction, about: more would keep the event loop too long. */
const MAX_BATCH_EVENTS = 256;
/** Events that wait; beyond it a stream is told to wait (`hasRoom`), and one that does not is refused. */
const MAX_WAITING_EVENTS = 65_536;
/** The same for what they hold, in bytes: a few large events are as heavy as many small ones. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
const SWEEP_INTERVAL_MS = 5_000;

/** A reporter's stream. What comes after a failed report on it counts no more: its events would leave a gap. */
export interface ReportSession {
  failed: boolean;
}

export interface Recorder {
  /**
   * Puts a report on record; resolves when it is durably in the record and under a checkpoint.
   * @throws {BehalfError} `overloaded`, `audit_unavailable`; then it, and all after it in its session, is to be sent again
   */
  readonly submit: (report: Report, session: ReportSession) => Promise<StoredThrough>;
  /** Whether more may be submitted without waiting. */
  readonly hasRoom: () => boolean;
  /** Finishes what is waiting. */
  readonly close: () => Promise<void>;
}

interface Submission {
  readonly report: Report;
  readonly session: ReportSession;
  readonly resolve: (stored: StoredThrough) => void;
  readonly reject: (error: unknown) => void;
}

export function createRecorder(deps: { writer: RecordWriter; ledger: Log; log: Logger }): Recorder {
  const { writer, ledger, log } = deps;
  let waiting: Submission[] = [];
  let waitingEvents = 0;
  let waitingBytes = 0;
  let running: Promise<void> | null = null;
  let closed = false;
  const sweeper = setInterval(sweep, SWEEP_INTERVAL_MS).unref();

  function sweep(): void {
    try {
      const { found, resolved } = writer.sweep();
      if (found > 0 || resolved > 0) log.warn({ found, resolved }, 'hops with one side');
    } catch (error) {
      log.error({ err: error }, 'findings could not be updated');
    }
  }

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      const batch = takeBatch();
      try {
        const { stored } = writer.store(batch.map(({ report }) => report));
        await ledger.catchUp();
        for (const [index, { resolve }] of batch.entries()) resolve(stored[index] as StoredThrough);
      } catch (error) {
        // Nobody was acknowledged: all of it is sent again, and what is stored already is stored once.
        log.error({ err: error }, 'reports could not be put on record');
        for (const submission of batch) refuse(submission, error);
      }
      // Lets streams, queries and live state have their turn between two batches.
      await new Promise((resolve) => setImmediate(resolve));
    }
    running = null;
  }

  function takeBatch(): Submission[] {
    let [count, events] = [0, 0];
    while (count < waiting.length && (count === 0 || events < MAX_BATCH_EVENTS))
      events += waiting[count++]?.report.events.length ?? 0;
    const taken = waiting.slice(0, count);
    waiting = waiting.slice(count);
    waitingEvents -= events;
    for (const { report } of taken) waitingBytes -= bytesOf(report);
    const batch: Submission[] = [];
    for (const submission of taken) {
      if (submission.session.failed)
        refuse(submission, new BehalfError('audit_unavailable', { why: 'after a failed report' }));
      else batch.push(submission);
    }
    return batch;
  }

  function refuse({ session, reject }: Submission, error: unknown): void {
    session.failed = true;
    reject(error);
  }

  return {
    submit(report, session) {
      return new Promise((resolve, reject) => {
        const submission = { report, session, resolve, reject };
        if (closed) return refuse(submission, new BehalfError('audit_unavailable', { why: 'shutting down' }));
        if (waitingEvents >= MAX_WAITING_EVENTS || waitingBytes >= MAX_WAITING_BYTES)
          return refuse(submission, new BehalfError('overloaded', { waitingEvents, waitingBytes }));
        waiting.push(submission);
        waitingEvents += report.events.length;
        waitingBytes += bytesOf(report);
        running ??= run();
      });
    },
    hasRoom: () => waitingEvents < MAX_WAITING_EVENTS / 4 && waitingBytes < MAX_WAITING_BYTES / 4,
    async close() {
      closed = true;
      clearInterval(sweeper);
      await running;
    },
  };
}

function bytesOf({ events, chains }: Report): number {
  let bytes = 0;
  for (const { parted } of events) bytes += parted.entry.length + (parted.secret?.length ?? 0);
  for (const chain of chains)
    bytes += chain.txnToken.length + chain.delegationChain.length + chain.delegationCredentials.length;
  return bytes;
}
