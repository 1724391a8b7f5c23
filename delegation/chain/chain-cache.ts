/**
 * Remembers which signatures verified (steps 5 and 6 of WIRE.md section 3), so that a chain seen again costs no public-key
 * operation. Only success is kept. Bounded in total and a peer; every other check runs on every call, and an entry counts only
 * while the very keys that it was verified with are the current ones.
 */
import type { KeyObject } from 'node:crypto';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { type RevocableFacts, type Revocation, type RevocationSource, revocationHits } from '../revocation/index.ts';
import type { VerifiedChain } from '../verified.ts';
import { createPeerTable } from './peer-table.ts';

/** Chains and WITs (each) remembered in all, and a peer. A chain holds its header values: 16 KiB at most, so 64 MiB at most. */
export const DEFAULT_MAX_CHAINS = 4_096;
export const DEFAULT_MAX_CHAINS_PER_PEER = 1_024;

/** A chain whose signatures verified, and with which keys: the root's, then each WIT's. */
export interface KnownChain {
  readonly chain: VerifiedChain;
  readonly rootKid: string;
  readonly rootKey: KeyObject;
  readonly witKids: readonly string[];
  readonly witKeys: readonly KeyObject[];
}

/** A WIT whose signature verified, and the key that it vouches for. */
export interface KnownWit {
  readonly verifiedWith: KeyObject;
  readonly kid: string;
  readonly linkKey: KeyObject;
  readonly expS: number;
  readonly facts: RevocableFacts;
}

export interface ChainCache {
  /** `key` is `chainCacheKey`; entries belong to the peer that presents them. */
  findChain(peer: SpiffeId, key: string): KnownChain | null;
  putChain(peer: SpiffeId, key: string, known: KnownChain): void;
  findWit(peer: SpiffeId, witS256: string): KnownWit | null;
  putWit(peer: SpiffeId, witS256: string, known: KnownWit): void;
  /** Drops what the revocation hits; gives how many. Call it for each that arrives. */
  evictRevoked(revocation: Revocation, source: RevocationSource): number;
  /** Drops what was verified with a key of that name; gives how many. Call it for each key that a rotation takes out. */
  evictKid(kid: string): number;
  /** Drops what has ended; gives how many. One coarse sweep now and then is enough. */
  evictExpired(nowS: number): number;
  /** Drops everything: another bundle. */
  clear(): void;
  readonly size: number;
}

/** An empty cache. The limits count chains and WITs each for itself. */
export function createChainCache({
  maxEntries = DEFAULT_MAX_CHAINS,
  maxPerPeer = DEFAULT_MAX_CHAINS_PER_PEER,
}: {
  maxEntries?: number;
  maxPerPeer?: number;
} = {}): ChainCache {
  const chains = createPeerTable<KnownChain>({ maxEntries, maxPerPeer });
  const wits = createPeerTable<KnownWit>({ maxEntries, maxPerPeer });
  return {
    findChain: (peer, key) => chains.find(peer, key),
    putChain: (peer, key, known) => chains.put(peer, key, known),
    findWit: (peer, witS256) => wits.find(peer, witS256),
    putWit: (peer, witS256, known) => wits.put(peer, witS256, known),
    evictRevoked(revocation, source) {
      return (
        chains.evict(({ chain }) => revocationHits(revocation, source, chain.revocable)) +
        wits.evict(({ facts }) => revocationHits(revocation, source, facts))
      );
    },
    evictKid(kid) {
      return (
        chains.evict(({ rootKid, witKids }) => rootKid === kid || witKids.includes(kid)) +
        wits.evict((wit) => wit.kid === kid)
      );
    },
    evictExpired(nowS) {
      return chains.evict(({ chain }) => chain.expS < nowS) + wits.evict(({ expS }) => expS < nowS);
    },
    clear() {
      chains.clear();
      wits.clear();
    },
    get size() {
      return chains.size + wits.size;
    },
  };
}
