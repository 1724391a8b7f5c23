/**
 * Takes each hop id once: a sliding window of 65,536 ids a peer and prefix, 256 prefixes a peer, idle ones forgotten after 65 s
 * (WIRE.md section 2), when every chain of then has ended. Memory: 8 KiB a prefix.
 */
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { hopCounter, hopPrefix } from './hop-id.ts';

export const HOP_WINDOW = 65_536;
export const MAX_HOP_PREFIXES_PER_PEER = 256;
/** Prefixes of all peers together: 64 MiB at most. */
export const DEFAULT_MAX_HOP_PREFIXES = 8_192;
export const HOP_IDLE_S = 65;

export interface HopWindow {
  /**
   * Takes the hop id of a call from that peer.
   * @throws {BehalfError} `delegation_replayed` where it was seen or is older than its window;
   *   `delegation_replay_store_full` where the peer, or all together, use too many prefixes at once
   */
  take(peer: SpiffeId, hop: string, nowS: number): void;
  /** Forgets idle prefixes; `take` does it too where it needs room. Gives how many. */
  forgetIdle(nowS: number): number;
  /** Prefixes remembered. */
  readonly size: number;
}

/** Seen counters of one prefix: bit `counter % 65,536` for those from `highest - 65,535` to `highest`. */
interface Seen {
  readonly bits: Uint32Array;
  highest: number;
  lastUsedS: number;
}

/** An empty window. */
export function createHopWindow({ maxPrefixes = DEFAULT_MAX_HOP_PREFIXES }: { maxPrefixes?: number } = {}): HopWindow {
  const peers = new Map<SpiffeId, Map<string, Seen>>();
  let size = 0;

  function forgetIdleOf(prefixes: Map<string, Seen>, nowS: number): number {
    let forgotten = 0;
    for (const [prefix, seen] of prefixes) {
      if (seen.lastUsedS + HOP_IDLE_S > nowS) continue;
      prefixes.delete(prefix);
      forgotten++;
    }
    size -= forgotten;
    return forgotten;
  }

  function forgetIdle(nowS: number): number {
    let forgotten = 0;
    for (const [peer, prefixes] of peers) {
      forgotten += forgetIdleOf(prefixes, nowS);
      if (prefixes.size === 0) peers.delete(peer);
    }
    return forgotten;
  }

  function begin(peer: SpiffeId, prefix: string, counter: number, nowS: number): void {
    let prefixes = peers.get(peer);
    if (prefixes !== undefined && prefixes.size >= MAX_HOP_PREFIXES_PER_PEER) forgetIdleOf(prefixes, nowS);
    if (size >= maxPrefixes) forgetIdle(nowS);
    if ((prefixes?.size ?? 0) >= MAX_HOP_PREFIXES_PER_PEER || size >= maxPrefixes) {
      throw new BehalfError('delegation_replay_store_full', { peer, why: 'too many hop id prefixes at once' });
    }
    prefixes = peers.get(peer);
    if (prefixes === undefined) {
      prefixes = new Map();
      peers.set(peer, prefixes);
    }
    const seen: Seen = { bits: new Uint32Array(HOP_WINDOW / 32), highest: counter, lastUsedS: nowS };
    mark(seen, counter);
    prefixes.set(prefix, seen);
    size++;
  }

  return {
    take(peer, hop, nowS) {
      const prefix = hopPrefix(hop);
      const counter = hopCounter(hop);
      const seen = peers.get(peer)?.get(prefix);
      if (seen === undefined) {
        begin(peer, prefix, counter, nowS);
        return;
      }
      if (counter > seen.highest) slide(seen, counter);
      else if (counter <= seen.highest - HOP_WINDOW)
        throw new BehalfError('delegation_replayed', { why: 'an old hop id' });
      else if (isMarked(seen, counter))
        throw new BehalfError('delegation_replayed', { why: 'a hop id for the second time' });
      mark(seen, counter);
      seen.lastUsedS = nowS;
    },
    forgetIdle,
    get size() {
      return size;
    },
  };
}

/** The window moves on: bits of the counters that come into it are those of the ones that leave it, and are cleared. */
function slide(seen: Seen, counter: number): void {
  if (counter - seen.highest >= HOP_WINDOW) seen.bits.fill(0);
  else for (let passed = seen.highest + 1; passed < counter; passed++) unmark(seen, passed);
  seen.highest = counter;
}

function isMarked({ bits }: Seen, counter: number): boolean {
  const bit = counter % HOP_WINDOW;
  return ((bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
}

function mark({ bits }: Seen, counter: number): void {
  const bit = counter % HOP_WINDOW;
  bits[bit >>> 5] = (bits[bit >>> 5] as number) | (1 << (bit & 31));
}

function unmark({ bits }: Seen, counter: number): void {
  const bit = counter % HOP_WINDOW;
  bits[bit >>> 5] = (bits[bit >>> 5] as number) & ~(1 << (bit & 31));
}
