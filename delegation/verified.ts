/**
 * What holds after verification: a delegation that a workload has in hand and may pass on. Its type differs from that of a
 * parsed one, so that an unverified one cannot be handed to a decision or to `mintLink`.
 */
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { RevocableFacts } from './revocation/index.ts';
import type { AuthorizationDetail } from './root/root-claims.ts';

/** Common to a bare root in its entry workload's hand and a chain in its last receiver's. Times in seconds. */
export interface Delegation {
  /**
   * First 16 bytes of the SHA-256 of WIRE.md section 2, "Slots", over the three header values; of a bare root with the other
   * two empty. The record names a chain by it.
   */
  readonly chainId: Buffer;
  readonly txn: string;
  /** The user's pseudonym `u:…`, or the SPIFFE ID of a workload that acts for itself. */
  readonly sub: string;
  readonly clientId: string | null;
  readonly consent: { readonly id: string; readonly version: number } | null;
  readonly grant: string | null;
  readonly purpose: string | null;
  readonly acr: string | null;
  /** What is left of the scope. */
  readonly scope: readonly string[];
  /** What is left of the details; null where the root had none. */
  readonly authorizationDetails: readonly AuthorizationDetail[] | null;
  /** `req_wl` and every further signer, up to the peer; of a bare root only `req_wl`. */
  readonly actors: readonly SpiffeId[];
  /** Who holds it now and may sign the next link: the last `aud`, of a bare root `req_wl`. */
  readonly holder: SpiffeId;
  /** `del_depth` of the last link; of a bare root 0 (a deferred one: that of its origin). */
  readonly depth: number;
  /** Least depth limit so far. */
  readonly maxDepth: number;
  /** Every list of allowed next workloads that binds the following links. */
  readonly next: readonly (readonly SpiffeId[])[];
  /** When the root was made. */
  readonly iat: number;
  /** The least end: nothing that follows may last longer. */
  readonly expS: number;
  readonly revocable: RevocableFacts;
  /** What the next link is bound to. */
  readonly parent: ParentFacts;
}

/** The tail of the delegation, for `mintLink`. */
export interface ParentFacts {
  /** base64url SHA-256 of the parent's signing input. */
  readonly signingInputS256: string;
  readonly iat: number;
  readonly exp: number;
  /** Workloads before a deferral: they count for the list rules. */
  readonly workloadsBefore: readonly SpiffeId[];
  /** `req_wl`, then each `aud`. */
  readonly workloads: readonly SpiffeId[];
  readonly links: number;
  /** The header values as received; empty for a bare root. */
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
}

export interface VerifiedRoot extends Delegation {
  readonly kind: 'root';
}

export interface VerifiedChain extends Delegation {
  readonly kind: 'chain';
  /** `jti` of the last link. */
  readonly jti: string;
  /** Whether the last link is bound to a route, or to one use at one pod. */
  readonly rte: string | null;
  readonly once: string | null;
  /** Whether steps 5 and 6 were answered by the cache. */
  readonly fromCache: boolean;
}
