/**
 * Remembers `jti`s of links that are good once (`once`, WIRE.md section 1). Bounded a peer and in total; when full it denies and
 * never forgets one that can still verify. In memory: after a restart it refuses what it may have seen before.
 */
import { BehalfError } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE } from '../../identity/clock.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { MAX_LINK_LIFE_S } from '../limits.ts';

/** Defaults: ids remembered a peer, and of all peers together. */
const DEFAULT_MAX_ONCE_PER_PEER = 10_000;
const DEFAULT_MAX_ONCE = 200_000;

/** How often all peers' ids are gone through at most, where the store is full. */
const MIN_BETWEEN_SWEEPS_S = 1;

/** How long after its end a link may still verify, and so must be remembered. */
const GRACE_S = DEFAULT_CLOCK_RULE.graceS;
/** How long a link from before a restart can still verify. */
const AFTER_START_S = MAX_LINK_LIFE_S + GRACE_S;

/** A link that is good once, as the store needs it. Times in seconds. */
export interface OnceUse {
  readonly peer: SpiffeId;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
}

export interface OnceStore {
  /**
   * Takes the id once.
   * @throws {BehalfError} `delegation_replayed` where it was taken before, or where it may have been before the restart;
   *   `delegation_replay_store_full` at the limit
   */
  take(use: OnceUse, nowS: number): void;
  readonly size: number;
}

/** An empty store of a process that started at `startedAtS`. */
export function createOnceStore({
  startedAtS,
  maxPerPeer = DEFAULT_MAX_ONCE_PER_PEER,
  maxEntries = DEFAULT_MAX_ONCE,
}: {
  startedAtS: number;
  maxPerPeer?: number;
  maxEntries?: number;
}): OnceStore {
  const peers = new Map<SpiffeId, Map<string, number>>();
  let size = 0;
  let sweptS = Number.NEGATIVE_INFINITY;

  function forget(ids: Map<string, number>, nowS: number): void {
    for (const [jti, keepUntilS] of ids) {
      if (keepUntilS > nowS) continue;
      ids.delete(jti);
      size--;
    }
  }

  /** A store that is full costs a refusal, not a sweep of everything for every link that comes. */
  function forgetAll(nowS: number): void {
    if (nowS - sweptS < MIN_BETWEEN_SWEEPS_S) return;
    sweptS = nowS;
    for (const [peer, ids] of peers) {
      forget(ids, nowS);
      if (ids.size === 0) peers.delete(peer);
    }
  }

  return {
    take({ peer, jti, iat, exp }, nowS) {
      if (iat <= startedAtS && nowS < startedAtS + AFTER_START_S) {
        throw new BehalfError('delegation_replayed', { why: 'a once-only link from before this sidecar started' });
      }
      const ids = peers.get(peer) ?? new Map<string, number>();
      if (ids.has(jti)) throw new BehalfError('delegation_replayed', { why: 'a once-only link for the second time' });
      if (ids.size >= maxPerPeer) forget(ids, nowS);
      if (size >= maxEntries) forgetAll(nowS);
      if (ids.size >= maxPerPeer || size >= maxEntries) {
        throw new BehalfError('delegation_replay_store_full', { peer, remembered: ids.size });
      }
      ids.set(jti, exp + GRACE_S);
      peers.set(peer, ids);
      size++;
    },
    get size() {
      return size;
    },
  };
}
