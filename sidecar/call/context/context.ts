/**
 * The handles that stand for inbound requests (WIRE section 5). For each request that a sidecar lets in it hands the app a
 * random 128-bit handle; calls that the app makes with it run on that request's delegation. Owns the table, its bounds and
 * the reading of carriers; `../facts/` writes them for the app, `outbound.ts` decides what a call without one means.
 *
 * Handles are secrets of this pod: they are looked up by their SHA-256, so that no comparison runs over the handle itself,
 * and stand in no log, event, metric or error.
 */
import { hash } from 'node:crypto';
import { BehalfError, type ErrorCode } from '../../../errors/index.ts';
import { systemClock } from '../../../identity/clock.ts';
import { createRandomPool } from '../../../identity/random-pool.ts';
import type { ContextWay } from '../../../policy/index.ts';
import { dlgValues } from '../../facts/baggage.ts';
import { traceParentOf } from '../../facts/trace-parent.ts';
import { fieldOf, type HeaderList } from '../head.ts';
import type { InboundContext } from './inbound-context.ts';
import { createTraceIds, type TraceIdsOptions } from './trace-ids.ts';

/** How long a handle outlives its response, for work that the app ends after it answered. */
const DEFAULT_CONTEXT_LINGER_MS = 10_000;
/** Handles at most, all peers together. At it the peer with the most ended requests loses the oldest of them. */
const DEFAULT_MAX_CONTEXTS = 32_768;
/** Handles at most of one peer's requests (requests from outside count as one peer). At it that peer loses its oldest ended one. */
const DEFAULT_MAX_CONTEXTS_PER_PEER = 16_384;

const HANDLE_BYTES = 16;
/** Unpadded base64url of 16 bytes. */
const HANDLE_LENGTH = 22;
const SWEEP_INTERVAL_MS = 1_000;
/** Ended entries at the head of a queue that may be gone before it is cut. */
const QUEUE_SLACK = 1_024;

export interface ContextTableOptions {
  readonly maxTotal?: number;
  readonly maxPerPeer?: number;
  readonly lingerMs?: number;
  /** Also takes the trace id of `traceparent` for a carrier; absent: it is not read. */
  readonly traceIds?: TraceIdsOptions;
  readonly random?: (bytes: number) => Buffer;
  /** Wall clock in seconds: judges a delegation's end. */
  readonly now?: () => number;
  /** Milliseconds of a clock that never jumps: measures the linger. */
  readonly monotonicMs?: () => number;
}

export interface ResolvedContext {
  readonly inbound: InboundContext;
  /** The strongest that the call had. */
  readonly carrier: ContextWay;
}

export interface ContextTable {
  /** Whether trace ids are read at all. */
  readonly readsTraceIds: boolean;
  /**
   * Notes that an inbound request of any kind carried this trace id, before it is judged. Does nothing where they are not read.
   * @throws {BehalfError} `context_limit`
   */
  traceBegan(traceId: string, peer: string): void;
  /** That request, let in or refused, has ended. */
  traceEnded(traceId: string): void;
  /**
   * Mints the handle of a request that is let in.
   * @throws {BehalfError} `context_limit` when the table is full of requests that still run
   */
  open(inbound: InboundContext): string;
  /** The response of that request has ended: the handle lingers, then dies. Unknown handles are ignored. */
  ended(handle: string): void;
  /**
   * Finds the inbound request that an outgoing call belongs to; null if it has no carrier at all. All carriers are read.
   * @throws {BehalfError} `context_ambiguous`, `context_unknown`, `delegation_expired`, `delegation_revoked`, `consent_withdrawn`
   */
  resolve(headers: HeaderList): ResolvedContext | null;
  /**
   * The same for a handle that came by itself.
   * @throws {BehalfError} as `resolve`
   */
  resolveHandle(handle: string): InboundContext;
  /** Kills each handle whose delegation `hit` gives a code for; using it fails with that code from now on. */
  revoke(hit: (delegation: InboundContext['delegation']) => ErrorCode | null): void;
  /** Handles that are held, running and lingering. */
  size(): number;
  close(): void;
}

/** One peer's share of the table. */
interface Share {
  readonly peer: string;
  count: number;
  /** Ended requests, oldest first. Entries leave at the head only. */
  ended: Entry[];
  head: number;
}

interface Entry {
  readonly key: string;
  readonly inbound: InboundContext;
  readonly share: Share;
  /** Monotonic milliseconds; -1 while the request runs. */
  endedMs: number;
  /** Why the handle is dead before its time, or null. */
  refusal: ErrorCode | null;
}

/** Makes an empty table. */
export function createContextTable(options: ContextTableOptions = {}): ContextTable {
  const maxTotal = options.maxTotal ?? DEFAULT_MAX_CONTEXTS;
  const maxPerPeer = options.maxPerPeer ?? DEFAULT_MAX_CONTEXTS_PER_PEER;
  const lingerMs = options.lingerMs ?? DEFAULT_CONTEXT_LINGER_MS;
  const random = options.random ?? createRandomPool();
  const nowS = options.now ?? systemClock;
  const monotonicMs = options.monotonicMs ?? performance.now.bind(performance);

  const traces = options.traceIds === undefined ? null : createTraceIds(options.traceIds);
  const entries = new Map<string, Entry>();
  const shares = new Map<string, Share>();

  function open(inbound: InboundContext): string {
    const share = shareOf(inbound.peer ?? '');
    if (share.count >= maxPerPeer && !dropOldestEnded(share)) {
      throw new BehalfError('context_limit', { limit: maxPerPeer, per: 'peer' });
    }
    if (entries.size >= maxTotal && !dropOldestEnded(shareWithMostEnded())) {
      if (share.count === 0) shares.delete(share.peer);
      throw new BehalfError('context_limit', { limit: maxTotal, per: 'sidecar' });
    }
    const handle = random(HANDLE_BYTES).toString('base64url');
    const entry: Entry = { key: keyOf(handle), inbound, share, endedMs: -1, refusal: null };
    entries.set(entry.key, entry);
    if (inbound.traceId !== null) traces?.bind(inbound.traceId, entry.key);
    // Dropping the last entry of a peer forgets its share: put it back with the new one.
    if (share.count === 0) shares.set(share.peer, share);
    share.count += 1;
    return handle;
  }

  function ended(handle: string): void {
    const entry = entries.get(keyOf(handle));
    if (entry === undefined || entry.endedMs >= 0) return;
    entry.endedMs = monotonicMs();
    entry.share.ended.push(entry);
  }

  function resolve(headers: HeaderList): ResolvedContext | null {
    let found: Entry | null = null;
    let carrier: ContextWay = 'baggage';
    let contexts = 0;
    // Mostly both carriers have the same handle: it is looked up once. Two texts of the app's are compared here, no secret of ours.
    let seen: string | null = null;
    // UNTRUSTED: the app writes these, and may pass on what others sent it.
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      if (name === 'delegation-context') {
        contexts += 1;
        carrier = 'context';
        const handle = headers[i + 1] as string;
        if (handle !== seen) found = same(found, live(handle));
        seen = handle;
      } else if (name === 'baggage') {
        for (const handle of dlgValues(headers[i + 1] as string)) {
          if (handle !== seen) found = same(found, live(handle));
          seen = handle;
        }
      }
    }
    // Stricter than "must resolve to the same": the field is a singleton (RFC 9110 section 5.3).
    if (traces !== null && fieldOf(headers, 'traceparent') !== null) {
      if (found === null) carrier = 'trace';
      found = same(found, liveTrace(headers));
    }
    if (contexts > 1) throw new BehalfError('context_ambiguous', { why: 'Delegation-Context is repeated' });
    return found === null ? null : { inbound: found.inbound, carrier };
  }

  function same(found: Entry | null, next: Entry): Entry {
    if (found !== null && found !== next) throw new BehalfError('context_ambiguous');
    return next;
  }

  function live(handle: string): Entry {
    const entry = handle.length === HANDLE_LENGTH ? entries.get(keyOf(handle)) : undefined;
    if (entry === undefined) throw new BehalfError('context_unknown');
    return checked(entry);
  }

  /** One that is there but malformed or of no request is refused like a bad handle; so is a trace that the app began itself. */
  function liveTrace(headers: HeaderList): Entry {
    const parent = traceParentOf(headers);
    if (parent === null || traces === null)
      throw new BehalfError('context_unknown', { why: 'not one valid traceparent' });
    // The trace id may be remembered for longer than its request.
    const entry = entries.get(traces.find(parent.traceId, monotonicMs()));
    if (entry === undefined) throw new BehalfError('context_unknown');
    return checked(entry);
  }

  function checked(entry: Entry): Entry {
    if (entry.endedMs >= 0 && monotonicMs() - entry.endedMs >= lingerMs) throw new BehalfError('context_unknown');
    if (entry.refusal !== null) throw new BehalfError(entry.refusal);
    const { expS } = entry.inbound.delegation;
    // No grace: a handle is for passing the delegation on, and what is expired is never signed (WIRE section 3, step 3).
    if (!(nowS() < expS)) throw new BehalfError('delegation_expired', { exp: expS, now: Math.floor(nowS()) });
    return entry;
  }

  function revoke(hit: (delegation: InboundContext['delegation']) => ErrorCode | null): void {
    for (const entry of entries.values()) if (entry.refusal === null) entry.refusal = hit(entry.inbound.delegation);
  }

  function shareOf(peer: string): Share {
    let share = shares.get(peer);
    if (share === undefined) {
      share = { peer, count: 0, ended: [], head: 0 };
      shares.set(peer, share);
    }
    return share;
  }

  function dropOldestEnded(share: Share | null): boolean {
    const oldest = share?.ended[share.head];
    if (share === null || oldest === undefined) return false;
    entries.delete(oldest.key);
    share.count -= 1;
    share.head += 1;
    if (share.head >= QUEUE_SLACK && share.head * 2 >= share.ended.length) {
      share.ended = share.ended.slice(share.head);
      share.head = 0;
    }
    if (share.count === 0) shares.delete(share.peer);
    return true;
  }

  function shareWithMostEnded(): Share | null {
    let most: Share | null = null;
    for (const share of shares.values()) {
      const length = share.ended.length - share.head;
      if (length > 0 && (most === null || length > most.ended.length - most.head)) most = share;
    }
    return most;
  }

  function sweep(): void {
    traces?.sweep(monotonicMs());
    const endedBeforeMs = monotonicMs() - lingerMs;
    for (const share of shares.values()) {
      for (let oldest = share.ended[share.head]; oldest !== undefined; oldest = share.ended[share.head]) {
        if (oldest.endedMs > endedBeforeMs) break;
        dropOldestEnded(share);
      }
    }
  }

  const sweeper = setInterval(sweep, SWEEP_INTERVAL_MS);
  sweeper.unref();

  return {
    readsTraceIds: traces !== null,
    traceBegan: (traceId, peer) => traces?.began(traceId, peer, monotonicMs()),
    traceEnded: (traceId) => traces?.ended(traceId, monotonicMs()),
    open,
    ended,
    resolve,
    resolveHandle: (handle) => live(handle).inbound,
    revoke,
    size: () => entries.size,
    close() {
      clearInterval(sweeper);
      entries.clear();
      shares.clear();
    },
  };
}

function keyOf(handle: string): string {
  return hash('sha256', handle, 'latin1');
}
