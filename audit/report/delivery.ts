/**
 * Delivers a spool to the collector over one bidirectional stream: sends in order within a window, frees what is acknowledged,
 * and after a broken connection sends again whatever is not. Works for as long as the collector is away; the spool bounds it.
 *
 * An event that the collector does not take as well formed would come back for ever and hold up all behind it. So after such
 * a refusal events go one by one, and the one that is refused alone is left out: the collector sees a gap in the numbers, and
 * an event of ours beside it says why. Never silent, and never for a refusal of another kind.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { errorOfCall } from '../../identity/mtls/index.ts';
import type { ReportRequest, ReportResponse } from '../../proto/behalf/audit/v1/audit.ts';
import type { Sent } from '../../proto/service.ts';
import { decodeEvent, defectOfChain } from '../event/index.ts';
import type { Spool, SpoolCursor } from '../spool/index.ts';
import { createWakeup, type Wakeup } from './wakeup.ts';

/** Bytes of one request. */
const BATCH_BYTES = 64 * 1024;
/** After a read that gave little, events gather for this long before the next. */
const GATHER_MS = 10;
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
  /** After a refusal of something malformed: until what was read then is through, events go one by one. */
  let oneByOne = false;
  /** Numbers of events that the collector refused alone. */
  const leftOut = new Set<number>();
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
    current.ackedAtMs = performance.now();
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
        if (errorOfCall(error).code === 'request_malformed') oneByOne = true;
        // Said once when delivery breaks, not at each retry: the spool holds what is not delivered.
        const level = retryMs === FIRST_RETRY_MS ? 'warn' : 'debug';
        log[level]({ code: codeOf(error), err: error }, 'audit delivery interrupted');
      }
      const waitMs = retryMs * (0.5 + random() / 2);
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
      // By the monotonic clock: the wall's may be set back by an hour meanwhile.
      const again = performance.now() + waitMs;
      while (!stopped && performance.now() < again) await wakeup.wait(again - performance.now());
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
        if (oneByOne) {
          cursor = await deliverOneByOne(current, cursor);
          continue;
        }
        const read = current.inFlightBytes < WINDOW_BYTES ? await spool.read(cursor, BATCH_BYTES) : null;
        if (read !== null) {
          const { batch, next } = read;
          send(current, batch, { lastSeq: batch.lastSeq, bytes: batch.bytes, end: next });
          cursor = next;
          // Else each event-loop turn would open the file, read it and send a message of its own.
          if (batch.bytes < BATCH_BYTES / 2) await delay(GATHER_MS);
        } else {
          await waitForAck(current);
        }
      }
      if (current.failure !== null) throw current.failure;
    } finally {
      session = null;
      current.stream.cancel();
    }
  }

  function send(current: Session, request: Sent<ReportRequest>, sent: InFlight): void {
    if (current.inFlight.length === 0) current.ackedAtMs = performance.now();
    current.inFlight.push(sent);
    current.inFlightBytes += sent.bytes;
    current.stream.write({ events: request.events, chains: request.chains });
  }

  async function waitForAck(current: Session): Promise<void> {
    await wakeup.wait(ACK_TIMEOUT_MS);
    const overdue =
      current.inFlight.some((sent) => sent.lastSeq !== 0) && performance.now() - current.ackedAtMs >= ACK_TIMEOUT_MS;
    if (overdue) throw new BehalfError('upstream_timeout', { why: 'the collector does not acknowledge' });
  }

  /** Sends what one read gives, an event a request, each acknowledged before the next; gives the place to go on from. */
  async function deliverOneByOne(current: Session, from: SpoolCursor): Promise<SpoolCursor> {
    const read = await spool.read(from, 1);
    if (read === null) {
      oneByOne = false;
      return from;
    }
    // A chain that the collector would not take must not be held against the event beside it.
    let chains = read.batch.chains.filter((chain) => defectOfChain(chain) === null);
    for (const event of read.batch.events) {
      const { seq } = decodeEvent(event);
      if (leftOut.has(seq)) continue;
      send(current, { events: [event], chains }, { lastSeq: seq, bytes: event.length, end: from });
      chains = [];
      while (!stopped && current.failure === null && current.inFlight.length > 0) await waitForAck(current);
      if (stopped || current.failure !== null) {
        if (!stopped && errorOfCall(current.failure).code === 'request_malformed') leaveOut(seq, current.failure);
        return from;
      }
    }
    oneByOne = false;
    acknowledged = read.next;
    return read.next;
  }

  function leaveOut(seq: number, cause: unknown): void {
    leftOut.add(seq);
    log.error({ seq, err: cause }, 'the collector refuses an event; it is left out of the record');
    const detail = `event ${seq} is not on record: the collector does not take it as well formed`;
    try {
      spool.append({ body: 'part', part: { state: 'event_left_out', detail } }).catch(() => undefined);
    } catch (error) {
      if (!(error instanceof BehalfError)) throw error;
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
    ackedAtMs: performance.now(),
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
