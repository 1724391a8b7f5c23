/**
 * The side that takes things back: the authority and the CA each keep an outbox and publish it to the collector over one
 * stream, entries in order, a heartbeat every 5 s and after each resend (DESIGN section 6). A broken stream is opened again
 * for ever; the collector says what it has stored, and the rest is sent again.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { mayRevoke } from '../../delegation/revocation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { type Clock, partId, type StatementKey, systemClock } from '../../identity/index.ts';
import { connectService, type ServiceClient } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import {
  type PublishLiveStateRequest,
  type PublishLiveStateResponse,
  type State,
  state,
} from '../../proto/behalf/state/v1/state.ts';
import type { Sent } from '../../proto/service.ts';
import { keepOpen } from '../keep-open.ts';
import { HEARTBEAT_INTERVAL_S, type LiveStateSource, type Revocation } from '../live-state.ts';
import { type Outbox, openOutbox } from './outbox.ts';

/** How long `revoke` waits for the collector once the entry is durable here. */
const ACKNOWLEDGE_WAIT_MS = 2_000;
/** Entries written to the stream before it is asked whether it takes more. */
const PAGE = 256;
/** Calls of `revoke` that wait at once; at the limit further ones return as soon as they are durable. */
const MAX_WAITING = 10_000;
/** A collector's number further ahead than this is no lost backup but a fault, and is not followed. */
const MAX_JUMP = 1_000_000;

export interface LiveStateSourceOptions {
  readonly source: LiveStateSource;
  /** SQLite file, made if missing. */
  readonly file: string;
  /** Its public half stands in the bundle's `live_state_keys` of the source. */
  readonly key: StatementKey;
  readonly collectorAddress: string;
  readonly identity: OwnIdentity;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export interface LiveStateSourceHandle {
  /**
   * Takes something back for good. Resolves once the entry is durable here and the collector has it stored and relays it, or
   * `ACKNOWLEDGE_WAIT_MS` after it is durable; `acknowledged` says which. `forgetAtS`: when nothing that it hits can verify.
   * @throws {BehalfError} `request_malformed` for a kind that is another source's to state
   */
  revoke(revocation: Revocation, forgetAtS: number): Promise<{ number: number; acknowledged: boolean }>;
  /** Number of the newest entry, and of the newest that the collector has stored. */
  numbers(): { readonly newest: number; readonly acknowledged: number };
  /** Ends the stream and closes the file. The signal does the same. */
  close(): Promise<void>;
}

type PublishStream = ClientDuplexStream<Sent<PublishLiveStateRequest>, PublishLiveStateResponse>;

interface Waiting {
  readonly number: number;
  readonly done: (acknowledged: boolean) => void;
}

/** Opens the outbox and begins to publish. */
export function openLiveStateSource(options: LiveStateSourceOptions): LiveStateSourceHandle {
  const { source, identity, collectorAddress, log, signal } = options;
  const clock = options.clock ?? systemClock;
  const outbox = openOutbox(options.file, source, options.key);
  const expect = partId(identity.trustDomain, 'collector');
  const client = connectService(state, { address: collectorAddress, identity, expect, log, clock });
  const waiting = new Set<Waiting>();
  let acknowledged = 0;
  let isClosed = false;

  const publisher = publish({
    client,
    outbox,
    log,
    clock,
    source,
    onStored: (through) => {
      acknowledged = through;
      for (const wait of waiting) if (wait.number <= through) wait.done(true);
    },
  });

  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    signal.removeEventListener('abort', close);
    for (const wait of waiting) wait.done(false);
    publisher.close();
    client.close();
    outbox.close();
  };
  signal.addEventListener('abort', close);
  if (signal.aborted) void close();

  return {
    async revoke(revocation, forgetAtS) {
      if (isClosed) throw new BehalfError('overloaded', { why: 'the live state is closed' });
      if (!mayRevoke(source, revocation.kind)) {
        throw new BehalfError('request_malformed', { kind: revocation.kind, source });
      }
      // From here on the withdrawal stands: whatever fails later, it is published when the collector is reached again.
      const number = outbox.append(revocation, forgetAtS, clock());
      publisher.push();
      if (waiting.size >= MAX_WAITING) return { number, acknowledged: false };
      return { number, acknowledged: await waitFor(waiting, number) };
    },
    numbers: () => ({ newest: outbox.newest(), acknowledged }),
    close,
  };
}

function waitFor(waiting: Set<Waiting>, number: number): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (acknowledged: boolean): void => {
      clearTimeout(timer);
      waiting.delete(entry);
      resolve(acknowledged);
    };
    const entry = { number, done };
    const timer = setTimeout(done, ACKNOWLEDGE_WAIT_MS, false);
    waiting.add(entry);
  });
}

interface PublishOptions {
  readonly client: ServiceClient<State>;
  readonly outbox: Outbox;
  readonly source: LiveStateSource;
  readonly log: Logger;
  readonly clock: Clock;
  readonly onStored: (through: number) => void;
}

/** Keeps one stream open. `push` sends what is new at once. */
function publish({ client, outbox, source, log, clock, onStored }: PublishOptions): { push(): void; close(): void } {
  let stream: PublishStream | null = null;
  const startS = clock();
  const startMs = performance.now();
  /** A wall clock that is ahead for a while must not make us forget what still hits: time passes as the monotonic clock says. */
  const forgetS = (): number => Math.min(clock(), startS + (performance.now() - startMs) / 1_000);
  /** Highest number on this stream; null until the collector has said what it has. */
  let sentThrough: number | null = null;
  let isBlocked = false;

  const push = (): void => {
    while (stream !== null && sentThrough !== null && !isBlocked) {
      const page = outbox.after(sentThrough, PAGE);
      for (const { number, statement } of page) {
        isBlocked = !stream.write({ entry: statement });
        sentThrough = number;
      }
      if (page.length < PAGE) return;
    }
  };

  /** A heartbeat says that all up to its number was sent, so it waits behind them. */
  const beat = (): void => {
    outbox.forget(forgetS());
    if (stream === null || sentThrough === null || isBlocked || sentThrough < outbox.newest()) return;
    isBlocked = !stream.write({ heartbeat: outbox.heartbeat(clock()) });
  };

  const begin = (storedThrough: number): void => {
    const newest = outbox.newest();
    if (storedThrough > newest && storedThrough <= newest + MAX_JUMP) {
      log.error({ source, newest, storedThrough }, 'live state file is older than what was published');
      outbox.continueAfter(storedThrough, clock());
    }
    log.info({ source, storedThrough, newest }, 'live state connected');
    sentThrough = storedThrough;
    push();
    beat();
  };

  const kept = keepOpen<PublishStream>(`live state of ${source}`, log, () => {
    const opened = client.publishLiveState();
    stream = opened;
    sentThrough = null;
    isBlocked = false;
    opened.on('data', ({ storedThrough }: PublishLiveStateResponse) => {
      if (opened !== stream) return;
      if (sentThrough === null) begin(storedThrough);
      onStored(storedThrough);
    });
    opened.on('drain', () => {
      if (opened !== stream) return;
      isBlocked = false;
      push();
    });
    return opened;
  });
  const timer = setInterval(beat, HEARTBEAT_INTERVAL_S * 1_000);
  return {
    push,
    close() {
      stream = null;
      clearInterval(timer);
      kept.close();
    },
  };
}
