/**
 * Remembers which signatures verified (steps 5 and 6 of WIRE.md section 3), so that a chain seen again costs no public-key
 * operation. Only success is kept. Bounded in total and a peer; every other check runs on every call, and an entry counts only
 * while the very keys that it was verified with are the current ones.
 */
import type { KeyObject } from 'node:crypto';
import type { SpiffeId, TrustDomain } from '../../identity/spiffe-id.ts';
import type { ParsedWit } from '../../identity/wit/index.ts';
import { type RevocableFacts, type Revocation, type RevocationSource, revocationHits } from '../revocation/index.ts';
import type { VerifiedChain } from '../verified.ts';
import { createPeerTable } from './peer-table.ts';

/** Chains and WITs (each) remembered in all, and a peer. A chain holds its header values: 16 KiB at most, so 64 MiB at most. */
export const DEFAULT_MAX_CHAINS = 4_096;
export const DEFAULT_MAX_CHAINS_PER_PEER = 1_024;

/**
 * A chain whose signatures verified, and all that this verdict depends on beside its bytes: what the root was compared with, and
 * the keys, the root's, then each WIT's.
 */
export interface KnownChain {
  /** As it was when its signatures were verified. */
  readonly chain: VerifiedChain;
  /** The same as one that is known, for all later calls alike. Made when it comes again, as most chains of some traffic never do. */
  recalled: VerifiedChain | null;
  readonly issuer: string;
  readonly audience: string;
  readonly trustDomain: TrustDomain;
  readonly rootKid: string;
  readonly rootKey: KeyObject;
  readonly witKids: readonly string[];
  readonly witKeys: readonly KeyObject[];
}

/** A WIT whose signature verified, and the key that it vouches for. */
export interface KnownWit {
  /** Of its own memory: `rememberedWit`. */
  readonly wit: ParsedWit;
  readonly verifiedWith: KeyObject;
  readonly linkKey: KeyObject;
  readonly facts: RevocableFacts;
}

export interface ChainCache {
  /** `digest` is the chain's; entries belong to the peer that presents them. */
  findChain(peer: SpiffeId, digest: string): KnownChain | null;
  putChain(peer: SpiffeId, digest: string, known: KnownChain): void;
  /** By the whole text of the WIT. Only what verified is ever put, so nobody else chooses what is found. */
  findWit(peer: SpiffeId, compact: string): KnownWit | null;
  putWit(peer: SpiffeId, known: KnownWit): void;
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
    findChain: (peer, digest) => chains.find(peer, digest),
    putChain: (peer, digest, known) => chains.put(peer, digest, known),
    findWit: (peer, compact) => wits.find(peer, compact),
    putWit: (peer, known) => wits.put(peer, known.wit.compact, known),
    evictRevoked(revocation, source) {
      return (
        chains.evict(({ chain }) => revocationHits(revocation, source, chain.revocable)) +
        wits.evict(({ facts }) => revocationHits(revocation, source, facts))
      );
    },
    evictKid(kid) {
      return (
        chains.evict(({ rootKid, witKids }) => rootKid === kid || witKids.includes(kid)) +
        wits.evict(({ wit }) => wit.kid === kid)
      );
    },
    evictExpired(nowS) {
      return chains.evict(({ chain }) => chain.expS < nowS) + wits.evict(({ wit }) => wit.exp < nowS);
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

/**
 * A WIT in memory of its own. What was parsed from a header is slices of that header, and a signature lies in a block of Node's
 * with others: each would keep all of that alive for the hour that the WIT is remembered.
 */
export function rememberedWit(wit: ParsedWit): ParsedWit {
  const compact = ownText(wit.compact);
  const signature = Buffer.alloc(wit.signature.length);
  wit.signature.copy(signature);
  return { ...wit, compact, signingInput: compact.slice(0, wit.signingInput.length), signature };
}

/** The same text, ASCII, that is no part of another. */
function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
