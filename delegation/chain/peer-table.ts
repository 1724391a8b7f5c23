/**
 * A bounded table in which each peer has a quota: whoever presents many new entries pushes out its own oldest, never another's,
 * as long as the quotas fit into the whole. Least recently used go first.
 */
import type { SpiffeId } from '../../identity/spiffe-id.ts';

export interface PeerTable<V> {
  find(peer: SpiffeId, key: string): V | null;
  put(peer: SpiffeId, key: string, value: V): void;
  /** Drops the entries for which the test holds; gives how many. */
  evict(test: (value: V) => boolean): number;
  clear(): void;
  readonly size: number;
}

/** An empty table. */
export function createPeerTable<V>({
  maxEntries,
  maxPerPeer,
}: {
  maxEntries: number;
  maxPerPeer: number;
}): PeerTable<V> {
  const peers = new Map<SpiffeId, Map<string, V>>();
  let size = 0;

  function dropOldestOf(entries: Map<string, V>): void {
    for (const key of entries.keys()) {
      entries.delete(key);
      size--;
      return;
    }
  }

  /** Where the whole is full, the peer with most entries gives one up. Few peers, and only at the limit. */
  function largest(): Map<string, V> | null {
    let found: Map<string, V> | null = null;
    for (const entries of peers.values()) if (found === null || entries.size > found.size) found = entries;
    return found;
  }

  return {
    find(peer, key) {
      const entries = peers.get(peer);
      const value = entries?.get(key);
      if (entries === undefined || value === undefined) return null;
      // A Map keeps the order of insertion: the entry goes to its end, the least recently used is at its begin.
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    put(peer, key, value) {
      if (maxEntries < 1 || maxPerPeer < 1) return;
      let entries = peers.get(peer);
      if (entries === undefined) {
        entries = new Map();
        peers.set(peer, entries);
      }
      if (entries.delete(key)) size--;
      if (entries.size >= maxPerPeer) dropOldestOf(entries);
      if (size >= maxEntries) {
        const full = largest();
        if (full !== null) dropOldestOf(full);
      }
      entries.set(key, value);
      size++;
    },
    evict(test) {
      let evicted = 0;
      for (const [peer, entries] of peers) {
        for (const [key, value] of entries) {
          if (!test(value)) continue;
          entries.delete(key);
          evicted++;
        }
        if (entries.size === 0) peers.delete(peer);
      }
      size -= evicted;
      return evicted;
    },
    clear() {
      peers.clear();
      size = 0;
    },
    get size() {
      return size;
    },
  };
}
