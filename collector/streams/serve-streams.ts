/**
 * `behalf.state.v1.State` (DESIGN section 6): takes statements from those who may make them, stores them as received and
 * relays them to whoever belongs to the mesh.
 */
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import { type Clock, partId, type SpiffeId, systemClock } from '../../identity/index.ts';
import { type Caller, createCrowd, type GrpcServer, requireCaller, STREAM_LIMITS } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { CompiledSnapshot } from '../../policy/index.ts';
import {
  type PublishLiveStateRequest,
  type PublishLiveStateResponse,
  state,
  type WatchLiveStateRequest,
  type WatchLiveStateResponse,
  type WatchSnapshotRequest,
  type WatchSnapshotResponse,
} from '../../proto/behalf/state/v1/state.ts';
import type { Sent } from '../../proto/service.ts';
import { LIVE_STATE_SOURCES, type LiveStateEntry, type LiveStateSource, parseEntry } from '../../state/index.ts';
import { createLiveRelay, type LiveMessage, type LiveRelay } from './live-relay.ts';
import { type ReceiverDeps, receiveLiveState } from './receive-live-state.ts';
import { createRevokedPeers, type RevokedPeers } from './revoked-peers.ts';
import { createPacedWriter } from './slow-watcher.ts';
import { createSnapshotRelay, type SnapshotMessage, type SnapshotRelay } from './snapshot-relay.ts';
import { openStateStore } from './state-store.ts';

const STATE_FILE = 'state.sqlite';
/** Streams at once, of all kinds. */
const MAX_STREAMS = 20_000;

export interface ServeStreamsOptions {
  /** Folder of the collector's data. */
  readonly dataDir: string;
  readonly identity: OwnIdentity;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** Kept up to date with the entries that are relayed, those of earlier runs among them. */
  readonly revoked?: RevokedPeers;
}

/** What the collector itself knows of policy and live state. */
export interface CollectorState {
  snapshot(): CompiledSnapshot | null;
  /** A past snapshot, for judging again what was decided under it; null where it is not kept. */
  snapshotAt(number: number): CompiledSnapshot | null;
  /** 0 for none. */
  snapshotNumber(): number;
  onSnapshot(listener: (snapshot: CompiledSnapshot) => void): () => void;
  /** Highest number stored, a source. */
  liveNumbers(): { readonly authority: number; readonly ca: number };
  /** Streams that are open now. */
  watchers(): { readonly snapshot: number; readonly liveState: number };
  /** Ends the streams and closes the file. The signal does the same. */
  close(): void;
}

interface Endable {
  end(): unknown;
}

/** Opens the store and adds the service to a server that does not listen yet. */
export function serveStreams(server: GrpcServer, options: ServeStreamsOptions): CollectorState {
  const { identity, log, signal } = options;
  const clock = options.clock ?? systemClock;
  const store = openStateStore(join(options.dataDir, STATE_FILE));
  const live = createLiveRelay(store);
  const snapshots = createSnapshotRelay(store, { identity, log, nowS: clock });
  const { revoked = createRevokedPeers() } = options;
  for (const { statement } of store.entries('ca')) revoked.take(parseEntry(statement.payload, 'ca'));
  const onEntry = (entry: LiveStateEntry): void => {
    if (revoked.take(entry)) server.endRevoked();
  };
  const publishers = new Map<LiveStateSource, Endable>();
  const open = new Set<Endable>();
  let isClosed = false;

  const watching = createCrowd(STREAM_LIMITS);

  /** Keeps count of a stream while `serve` runs. */
  const during = async (stream: Endable, serve: () => Promise<void>): Promise<void> => {
    if (isClosed) throw new BehalfError('overloaded', { why: 'the collector is ending' });
    if (open.size >= MAX_STREAMS) throw new BehalfError('overloaded', { why: 'too many streams', limit: MAX_STREAMS });
    open.add(stream);
    try {
      await serve();
    } finally {
      open.delete(stream);
    }
  };
  /** The same for a stream that anyone of the mesh may open. */
  const whileWatching = async (stream: Endable, caller: Caller, serve: () => Promise<void>): Promise<void> => {
    requireCaller(caller);
    const leave = watching.enter(caller);
    await during(stream, serve).finally(leave);
  };

  server.add(state, {
    publishLiveState(stream, caller) {
      const source = sourceOf(requireCaller(caller), identity);
      // One stream a source: a second one is the source's own new connection, so the first is given up.
      publishers.get(source)?.end();
      publishers.set(source, stream);
      return during(stream, () => servePublisher(stream, source, { live, identity, log, onEntry })).finally(() => {
        if (publishers.get(source) === stream) publishers.delete(source);
      });
    },
    watchSnapshot(stream, caller) {
      return whileWatching(stream, caller, () => serveSnapshotWatcher(stream, snapshots));
    },
    watchLiveState({ knownThrough }, stream, caller) {
      return whileWatching(stream, caller, () => serveLiveWatcher(stream, live, knownThrough));
    },
    async putSnapshot({ snapshot }, caller) {
      return { number: await snapshots.put(snapshot, requireCaller(caller)) };
    },
  });

  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    signal.removeEventListener('abort', close);
    for (const stream of open) stream.end();
    store.close();
  };
  signal.addEventListener('abort', close);
  if (signal.aborted) close();

  return {
    snapshot: snapshots.current,
    snapshotAt: (number) => (isClosed ? null : snapshots.at(number)),
    snapshotNumber: () => snapshots.current()?.number ?? 0,
    onSnapshot: snapshots.onChange,
    liveNumbers: () => ({ authority: live.storedThrough('authority'), ca: live.storedThrough('ca') }),
    watchers: () => ({ snapshot: snapshots.watchers(), liveState: live.watchers() }),
    close,
  };
}

/** The source that a caller is. */
function sourceOf(caller: SpiffeId, identity: OwnIdentity): LiveStateSource {
  const source = LIVE_STATE_SOURCES.find((name) => caller === partId(identity.trustDomain, name));
  if (source === undefined) throw new BehalfError('policy_denied', { why: 'not a source of live state', caller });
  return source;
}

/** Says first what is stored, so that the source sends what is missing; then acknowledges each entry. */
function servePublisher(
  stream: ServerDuplexStream<PublishLiveStateRequest, Sent<PublishLiveStateResponse>>,
  source: LiveStateSource,
  deps: ReceiverDeps,
): Promise<void> {
  const { live, log } = deps;
  return untilEnd(stream, (fail) => {
    stream.write({ storedThrough: live.storedThrough(source) });
    stream.on('data', (request: PublishLiveStateRequest) => {
      if (stream.writableEnded) return;
      try {
        const isEntry = receiveLiveState(request, source, deps);
        if (isEntry) stream.write({ storedThrough: live.storedThrough(source) });
      } catch (error) {
        log.error({ err: error, source }, 'live state refused');
        fail(error);
      }
    });
    stream.on('end', () => stream.end());
    return () => undefined;
  });
}

function serveSnapshotWatcher(
  stream: ServerDuplexStream<WatchSnapshotRequest, Sent<WatchSnapshotResponse>>,
  snapshots: SnapshotRelay,
): Promise<void> {
  return untilEnd(stream, (fail) => {
    const writer = createPacedWriter<SnapshotMessage>(stream, {
      onRoom: () => watcher.pump(),
      onSlow: () => fail(slow()),
    });
    const watcher = snapshots.watch(writer);
    stream.on('data', ({ serving }: WatchSnapshotRequest) => watcher.acknowledge(serving));
    stream.on('end', () => stream.end());
    return watcher.leave;
  });
}

function serveLiveWatcher(
  stream: ServerWritableStream<WatchLiveStateRequest, Sent<WatchLiveStateResponse>>,
  live: LiveRelay,
  knownThrough: WatchLiveStateRequest['knownThrough'],
): Promise<void> {
  return untilEnd(stream, (fail) => {
    const writer = createPacedWriter<LiveMessage>(stream, { onRoom: () => watcher.pump(), onSlow: () => fail(slow()) });
    const watcher = live.watch(writer, knownThrough);
    return watcher.leave;
  });
}

function slow(): BehalfError {
  return new BehalfError('overloaded', { why: 'the watcher takes nothing any more' });
}

/**
 * Runs `start` and resolves when the stream has ended, whoever ended it; rejects, so that the stream ends with that code,
 * when `fail` is called. What `start` gives is undone in either case.
 */
async function untilEnd(stream: Writable, start: (fail: (error: unknown) => void) => () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  for (const event of ['cancelled', 'finish', 'close']) stream.once(event, () => resolve());
  const undo = start(reject);
  try {
    await promise;
  } finally {
    undo();
  }
}
