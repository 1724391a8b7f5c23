/**
 * Delivers a spool to the collector over one bidirectional stream: sends in order within a window, frees what is acknowledged,
 * and after a broken connection sends again whatever is not. Works for as long as the collector is away; the spool bounds it.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { ReportRequest, ReportResponse } from '../../proto/behalf/audit/v1/audit.ts';
import type { Sent } from '../../proto/service.ts';
import type { Spool, SpoolCursor } from '../spool/index.ts';
import { createWakeup, type Wakeup } from './wakeup.ts';

/** Bytes of one request. */
const BATCH_BYTES = 64 * 1024;
/** Bytes sent and not yet acknowledged, at which sending waits. */
const WINDOW_BYTES = 2 * 1024 * 1024;
/** A collector that acknowledges nothing for so long is taken for dead, and the stream is opened anew. */
const ACK_TIMEOUT_MS = 30_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;

export type ReportStream = ClientDuplexStream<Sent<ReportRequest>, ReportResponse>;

export interface Delivery {
  /** Whether everything written so far was acknowledged. */
  readonly idle: () => boolean;
  /** Whether a stream is open or being opened; false while waiting to try again. */
  readonly isTrying: () => boolean;
  /** Connected: the collector has acknowledged something on the stream that is open now. */
  readonly state: () => { readonly connected: boolean; readonly storedThrough: number };
  /** Ends the stream and the loop. */
  readonly stop: () => Promise<void>;
}

interface InFlight {
  readonly lastSeq: number;
  readonly bytes: number;
  readonly end: SpoolCursor;
}

/** What a stream has said since it was opened. */
interface Session {
  readonly stream: ReportStream;
  readonly inFlight: InFlight[];
  inFlightBytes: number;
  hasAcked: boolean;
  ackedAtMs: number;
  failure: unknown;
}

/** Begins delivering. `openStream` connects as the reporter; `random` (0 to 1) spreads the retries. */
export function startDelivery(deps: {
  readonly spool: Spool;
  readonly openStream: () => ReportStream;
  readonly log: Logger;
  readonly random?: () => number;
}): Delivery {
  const { spool, openStream, log, random = Math.random } = deps;
  const wakeup = createWakeup();
  let storedThrough = 0;
  let acknowledged = spool.first();
  let retryMs = FIRST_RETRY_MS;
  let session: Session | null = null;
  let stopped = false;
  spool.onWritten(wakeup.ring);

  function onAck(current: Session, { epoch, storedThrough: seq }: ReportResponse): void {
    if (!epoch.equals(spool.epoch)) return;
    // A request without an event (chains alone) is not acknowledged by itself, but with the first event after it.
    const last = current.inFlight.findLastIndex((sent) => sent.lastSeq !== 0 && sent.lastSeq <= seq);
    for (const sent of current.inFlight.splice(0, last + 1)) {
      current.inFlightBytes -= sent.bytes;
      acknowledged = sent.end;
    }
    storedThrough = Math.max(storedThrough, seq);
    current.hasAcked = true;
    current.ackedAtMs = Date.now();
    if (retryMs !== FIRST_RETRY_MS) log.info({ storedThrough }, 'audit delivery resumed');
    retryMs = FIRST_RETRY_MS;
    spool.acknowledge(seq);
    wakeup.ring();
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        await deliver();
      } catch (error) {
        if (stopped) return;
        // Said once when delivery breaks, not at each retry: the spool holds what is not delivered.
        const level = retryMs === FIRST_RETRY_MS ? 'warn' : 'debug';
        log[level]({ code: codeOf(error), err: error }, 'audit delivery interrupted');
      }
      const waitMs = retryMs * (0.5 + random() / 2);
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
      const again = Date.now() + waitMs;
      while (!stopped && Date.now() < again) await wakeup.wait(again - Date.now());
    }
  }

  async function deliver(): Promise<void> {
    const current = openSession(openStream(), wakeup);
    session = current;
    current.stream.on('data', (response: ReportResponse) => onAck(current, response));
    try {
      // Everything after the last acknowledgement is sent again; the collector stores each event once.
      let cursor = acknowledged;
      while (!stopped && current.failure === null) {
        const read = current.inFlightBytes < WINDOW_BYTES ? await spool.read(cursor, BATCH_BYTES) : null;
        if (read !== null) {
          if (current.inFlight.length === 0) current.ackedAtMs = Date.now();
          const { batch, next } = read;
          current.inFlight.push({ lastSeq: batch.lastSeq, bytes: batch.bytes, end: next });
          current.inFlightBytes += batch.bytes;
          current.stream.write({ events: batch.events, chains: batch.chains });
          cursor = next;
        } else {
          await wakeup.wait(ACK_TIMEOUT_MS);
          const overdue =
            current.inFlight.some((sent) => sent.lastSeq !== 0) && Date.now() - current.ackedAtMs >= ACK_TIMEOUT_MS;
          if (overdue) throw new BehalfError('upstream_timeout', { why: 'the collector does not acknowledge' });
        }
      }
      if (current.failure !== null) throw current.failure;
    } finally {
      session = null;
      current.stream.cancel();
    }
  }

  const running = run();
  return {
    idle: () => storedThrough === spool.state().nextSeq - 1,
    isTrying: () => session !== null && session.failure === null,
    state: () => ({ connected: session?.hasAcked === true && session.failure === null, storedThrough }),
    async stop() {
      stopped = true;
      wakeup.ring();
      await running;
    },
  };
}

function openSession(stream: ReportStream, wakeup: Wakeup): Session {
  const session: Session = {
    stream,
    inFlight: [],
    inFlightBytes: 0,
    hasAcked: false,
    ackedAtMs: Date.now(),
    failure: null,
  };
  const fail = (failure: unknown): void => {
    session.failure ??= failure;
    wakeup.ring();
  };
  stream.on('error', fail);
  stream.on('end', () => fail(new BehalfError('upstream_unavailable', { why: 'the collector ended the stream' })));
  return session;
}
