/** What the steps of a call work with: the sidecar's own standing, the mesh's state, its caches and counters. */
import type { Reporter } from '../../audit/report/index.ts';
import type {
  ChainCache,
  HopMinter,
  HopWindow,
  OnceStore,
  VerifiedChain,
  VerifiedRoot,
} from '../../delegation/index.ts';
import type { ProofMemory, VerifiedProof } from '../../identity/dpop/index.ts';
import type { ClockRule, SpiffeId } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { StateView } from '../../state/index.ts';
import type { RefusedConnections } from '../report/refused-connections.ts';
import type { ContextTable } from './context/context.ts';
import type { DecisionCache } from './decisions.ts';
import type { Challenge } from './entry/challenge.ts';
import type { DeferredCredential } from './entry/credentials.ts';
import type { ProofNonces } from './entry/proof-nonces.ts';
import type { VerificationLimits } from './inbound/verification-limits.ts';
import type { DetailShares } from './outbound/detail-shares.ts';
import type { LinkCache } from './outbound/links.ts';
import type { Peer } from './seam.ts';
import type { RunningCalls } from './streams.ts';

export interface CallEnvironment {
  readonly identity: OwnIdentity;
  readonly me: SpiffeId;
  readonly state: StateView;
  readonly contexts: ContextTable;
  readonly chains: ChainCache;
  readonly limits: VerificationLimits;
  readonly onceStore: OnceStore;
  readonly hopWindow: HopWindow;
  readonly hopMinter: HopMinter;
  readonly links: LinkCache;
  /** What was handed on of spendable details. */
  readonly shares: DetailShares;
  readonly decisions: DecisionCache;
  readonly running: RunningCalls;
  readonly roots: RootSource;
  readonly exitTokens: ExitTokenSource;
  readonly reporter: Reporter;
  /** Says which refusals of an entry are written one by one; the others it has counted. */
  readonly refusedCalls: Pick<RefusedConnections, 'admits'>;
  readonly clock: ClockRule;
  readonly nowS: () => number;
  readonly random: (bytes: number) => Buffer;
  peerNamed(authority: string): Peer | null;
  readonly entry: EntryEnvironment;
}

/** What the entry listener needs beside the rest. */
export interface EntryEnvironment {
  /** Where requests from outside go instead of the own app. */
  readonly forward: Peer | null;
  readonly proofs: ProofMemory;
  /** Null where proofs need no nonce. */
  readonly nonces: ProofNonces | null;
  readonly challenge: Challenge;
  /** Null where the entry serves none. */
  readonly metadata: MetadataOptions | null;
}

/** How much the configuration lets the entry say of itself. */
export interface MetadataOptions {
  /** Whether a client's certificate can come in here: by TLS of our own, or by a proxy that is trusted. */
  readonly certificates: boolean;
}

/** An access token or a reference, with what was shown beside it. Whether the token is bound to that, the authority knows. */
export type ShownCredential = ShownAccessToken | DeferredCredential;

export interface ShownAccessToken {
  readonly kind: 'access_token';
  readonly token: string;
  /** Verified for this request (RFC 9449 section 4.3); null where the token came as `Bearer`. */
  readonly proof: ShownProof | null;
  /** base64url SHA-256 of the client certificate; null where none was shown. */
  readonly certificateS256: string | null;
}

export interface ShownProof extends VerifiedProof {
  readonly compact: string;
  readonly method: string;
  readonly uri: string;
}

/** What a root is asked for. */
export interface RootOrder {
  /** Null for all that deferred work has left. */
  readonly scopes: readonly string[] | null;
  /** Whether the root must not have served another request. */
  readonly fresh: boolean;
  /** RFC 9396 `authorization_details` as JSON text; absent or empty for none. */
  readonly details?: string;
}

/** Roots from the authority, reused by the rules of WIRE section 1. */
export interface RootSource {
  /** @throws {BehalfError} `entry_token_invalid` and what else the authority refuses with, `upstream_unavailable` */
  forCredential(shown: ShownCredential, order: RootOrder): Promise<VerifiedRoot> | VerifiedRoot;
  forOwn(to: SpiffeId, scopes: readonly string[], fresh: boolean): Promise<VerifiedRoot> | VerifiedRoot;
}

/** What a token for the outside is asked for. */
export interface ExitTokenOrder {
  /** Null for the workload's own authority. */
  readonly parent: VerifiedRoot | VerifiedChain | null;
  readonly audience: string;
  /** The mesh's scopes that go on. */
  readonly scopes: readonly string[];
}

export interface ExitToken {
  readonly compact: string;
  readonly jti: string;
  readonly expS: number;
}

/** Tokens for audiences outside the mesh, from the authority. */
export interface ExitTokenSource {
  /** @throws {BehalfError} what the authority refuses with, `upstream_unavailable`, `upstream_timeout`, `overloaded` */
  get(order: ExitTokenOrder): Promise<ExitToken> | ExitToken;
}
