/**
 * Which trace ids came in, and with how many requests (WIRE section 5, carrier 3). A trace id stands for an inbound request only
 * if no other one, of any kind and also a refused one, carried it while it ran and for 60 s after its answer. Owns that table and
 * its bound: at it requests are refused, as one that was forgotten could make two requests look like one.
 */
import { BehalfError } from '../../../errors/index.ts';

/** How long a trace id is remembered after its last request ended. */
const DEFAULT_TRACE_LINGER_MS = 60_000;
/** Trace ids at most; a bit over 4,000 requests a second, a minute long. */
const DEFAULT_MAX_TRACE_IDS = 262_144;
/** Trace ids at most that one peer brought (requests from outside count as one peer). */
const DEFAULT_MAX_TRACE_IDS_PER_PEER = 131_072;

export interface TraceIdsOptions {
  readonly maxTotal?: number;
  readonly maxPerPeer?: number;
  readonly lingerMs?: number;
}

/** A table of trace ids. A key names an inbound request in the table of contexts, which knows whether it still lives. */
export interface TraceIds {
  /**
   * Notes that a request carried this trace id.
   * @throws {BehalfError} `context_limit`
   */
  began(traceId: string, peer: string, nowMs: number): void;
  /** Says for which request its trace id stands, once that was let in. */
  bind(traceId: string, key: string): void;
  /** That request has ended. */
  ended(traceId: string, nowMs: number): void;
  /**
   * What the trace id stands for.
   * @throws {BehalfError} `context_unknown`, `context_ambiguous`
   */
  find(traceId: string, nowMs: number): string;
  sweep(nowMs: number): void;
  size(): number;
}

interface Entry {
  readonly peer: string;
  key: string | null;
  several: boolean;
  running: number;
  /** When it may be forgotten; counts while none of its requests runs. */
  untilMs: number;
}

/** Makes an empty table. */
export function createTraceIds(options: TraceIdsOptions = {}): TraceIds {
  const maxTotal = options.maxTotal ?? DEFAULT_MAX_TRACE_IDS;
  const maxPerPeer = options.maxPerPeer ?? DEFAULT_MAX_TRACE_IDS_PER_PEER;
  const lingerMs = options.lingerMs ?? DEFAULT_TRACE_LINGER_MS;

  const entries = new Map<string, Entry>();
  const ofPeer = new Map<string, number>();
  /** Those of which no request runs, the one that ended first at the head. */
  const over = new Map<string, Entry>();

  function known(traceId: string, nowMs: number): Entry | undefined {
    const entry = entries.get(traceId);
    if (entry === undefined || entry.running > 0 || entry.untilMs > nowMs) return entry;
    forget(traceId, entry);
    return undefined;
  }

  function forget(traceId: string, entry: Entry): void {
    entries.delete(traceId);
    over.delete(traceId);
    const left = (ofPeer.get(entry.peer) ?? 1) - 1;
    if (left === 0) ofPeer.delete(entry.peer);
    else ofPeer.set(entry.peer, left);
  }

  function sweep(nowMs: number): void {
    for (const [traceId, entry] of over) {
      if (entry.untilMs > nowMs) break;
      forget(traceId, entry);
    }
  }

  return {
    began(traceId, peer, nowMs) {
      const entry = known(traceId, nowMs);
      if (entry !== undefined) {
        entry.several = true;
        entry.running += 1;
        over.delete(traceId);
        return;
      }
      const count = ofPeer.get(peer) ?? 0;
      if (entries.size >= maxTotal || count >= maxPerPeer) {
        throw new BehalfError('context_limit', {
          what: 'trace ids',
          per: entries.size >= maxTotal ? 'sidecar' : 'peer',
        });
      }
      ofPeer.set(peer, count + 1);
      entries.set(traceId, { peer, key: null, several: false, running: 1, untilMs: 0 });
    },
    bind(traceId, key) {
      const entry = entries.get(traceId);
      if (entry !== undefined && !entry.several) entry.key = key;
    },
    ended(traceId, nowMs) {
      const entry = entries.get(traceId);
      if (entry === undefined || entry.running === 0) return;
      entry.running -= 1;
      if (entry.running > 0) return;
      entry.untilMs = nowMs + lingerMs;
      over.set(traceId, entry);
    },
    find(traceId, nowMs) {
      const entry = known(traceId, nowMs);
      if (entry?.several === true)
        throw new BehalfError('context_ambiguous', { why: 'several requests carried this trace id' });
      if (entry === undefined || entry.key === null)
        throw new BehalfError('context_unknown', { why: 'no request carried this trace id' });
      return entry.key;
    },
    sweep,
    size: () => entries.size,
  };
}
