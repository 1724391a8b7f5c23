/**
 * How much verifying one peer may cause (WIRE section 3, "Caches"): a chain seen for the first time costs public-key work, and a
 * peer whose chains fail is at fault or an attacker with a workload's key. A token bucket of each a peer; a chain that is known
 * needs neither, so that a peer over its limit keeps the calls that it has been making.
 */
import { BehalfError, type ErrorCode } from '../../../errors/index.ts';
import type { SpiffeId } from '../../../identity/index.ts';

/** Chains seen for the first time, a second and peer; twice that at once, since after a restart all are. */
const FIRST_SEEN_PER_S = 2_000;
/** Chains that fail, a second and peer; twice that at once. */
const FAILED_PER_S = 200;
const BURST_S = 2;
/** Peers remembered; the one longest without a charge is forgotten first. */
const MAX_PEERS = 4_096;

/**
 * What a working peer never sends. Not counted is what befalls it: revocation and withdrawal, stale or unknown state on our
 * side; those cost no signature either.
 */
const FAULTS: ReadonlySet<ErrorCode> = new Set([
  'delegation_malformed',
  'delegation_bad_signature',
  'delegation_wrong_audience',
  'delegation_holder_mismatch',
  'delegation_broken_chain',
  'delegation_expired',
  'delegation_not_yet_valid',
  'delegation_unsupported',
  'delegation_scope_widened',
  'delegation_loop',
  'delegation_wrong_route',
  'delegation_too_large',
  'delegation_too_deep',
] satisfies ErrorCode[]);

export interface VerificationLimits {
  /**
   * Charges a chain whose signatures are about to be verified.
   * @throws {BehalfError} `rate_limited`: too many new ones of that peer, or too many that failed
   */
  firstSeen(peer: SpiffeId): void;
  /** Charges what verifying a chain threw, and gives what to answer: that, or `rate_limited` where too many failed. */
  failed(peer: SpiffeId, error: BehalfError): BehalfError;
  readonly size: number;
}

export interface VerificationLimitsOptions {
  /** Monotonic. */
  readonly nowMs?: () => number;
  readonly firstSeenPerS?: number;
  readonly failedPerS?: number;
  readonly maxPeers?: number;
}

/** Tokens left of each kind, as of `atMs`. */
interface Buckets {
  atMs: number;
  firstSeen: number;
  failed: number;
}

export function createVerificationLimits({
  nowMs = performance.now.bind(performance),
  firstSeenPerS = FIRST_SEEN_PER_S,
  failedPerS = FAILED_PER_S,
  maxPeers = MAX_PEERS,
}: VerificationLimitsOptions = {}): VerificationLimits {
  const peers = new Map<SpiffeId, Buckets>();

  function filledBuckets(peer: SpiffeId): Buckets {
    const now = nowMs();
    const known = peers.get(peer);
    if (known === undefined) {
      if (peers.size >= maxPeers) forgetOldest();
      const full = { atMs: now, firstSeen: firstSeenPerS * BURST_S, failed: failedPerS * BURST_S };
      peers.set(peer, full);
      return full;
    }
    const passedS = (now - known.atMs) / 1000;
    known.atMs = now;
    known.firstSeen = Math.min(firstSeenPerS * BURST_S, known.firstSeen + passedS * firstSeenPerS);
    known.failed = Math.min(failedPerS * BURST_S, known.failed + passedS * failedPerS);
    // A Map keeps the order of insertion: the one charged last goes to its end.
    peers.delete(peer);
    peers.set(peer, known);
    return known;
  }

  function forgetOldest(): void {
    for (const oldest of peers.keys()) {
      peers.delete(oldest);
      return;
    }
  }

  return {
    firstSeen(peer) {
      const buckets = filledBuckets(peer);
      if (buckets.failed < 1) throw limited('failed chains', failedPerS);
      if (buckets.firstSeen < 1) throw limited('chains seen for the first time', firstSeenPerS);
      buckets.firstSeen -= 1;
    },
    failed(peer, error) {
      if (!FAULTS.has(error.code)) return error;
      const buckets = filledBuckets(peer);
      if (buckets.failed < 1) return limited('failed chains', failedPerS);
      buckets.failed -= 1;
      return error;
    },
    get size() {
      return peers.size;
    },
  };
}

function limited(what: string, perS: number): BehalfError {
  return new BehalfError('rate_limited', { what, perS });
}
