/** What a verifier brings along: who it is, who the peer is, what time it is, whose keys it trusts, what was taken back. */
import type { KeyObject } from 'node:crypto';
import type { ClockRule } from '../identity/clock.ts';
import type { SpiffeId, TrustDomain } from '../identity/spiffe-id.ts';
import type { ChainCache } from './chain/chain-cache.ts';
import type { DetailTypes } from './details/detail-type.ts';
import type { OnceStore } from './once/once-store.ts';
import type { RevocableFacts, Revocation } from './revocation/index.ts';

/** What judging a root takes. */
export interface RootContext {
  /** The verifier's own SPIFFE ID. */
  readonly me: SpiffeId;
  /** Our clock in seconds, possibly fractional. */
  readonly nowS: number;
  readonly clock: ClockRule;
  readonly trustDomain: TrustDomain;
  /** The authority's `iss`. */
  readonly issuer: string;
  /** `aud` of roots: `spiffe://<trust-domain>/behalf/delegation` unless configured otherwise. */
  readonly audience: string;
  /** The key that the authority publishes under that `kid`, or null. May throw `trust_unavailable` while keys are fetched. */
  rootKey(kid: string): KeyObject | null;
  /** The revocation that hits, or null: `RevocationSet.hit`. */
  revoked(facts: RevocableFacts): Revocation | null;
  /** Returns where the live state is fresh. @throws {BehalfError} `revocation_stale` */
  fresh(): void;
}

/** The TLS peer, already verified (`identity/mtls`). */
export interface ChainPeer {
  readonly spiffeId: SpiffeId;
  /** base64url SHA-256 of its certificate's DER. */
  readonly certificateS256: string;
  /** Its clock minus ours as measured, seconds; only named in time errors. */
  readonly skewS?: number | null;
}

/** What judging a chain takes. */
export interface VerifyContext extends RootContext {
  readonly peer: ChainPeer;
  /** The key of the own trust domain's `wit-svid` entry of that `kid`, or null. May throw `trust_unavailable`. */
  witKey(kid: string): KeyObject | null;
  /** `"<METHOD> <template>"` of the route that was matched, or null where none was. */
  readonly route: string | null;
  /** base64url SHA-256 of the certificate that this pod presented; null refuses every `once` link. */
  readonly myCertificateS256: string | null;
  /** Remembers `jti`s of `once` links; null refuses every `once` link. */
  readonly onceStore: OnceStore | null;
  /** The registered types of `authorization_details`; absent: those of the format itself. */
  readonly detailTypes?: DetailTypes;
  /** Outcomes of steps 5 and 6; absent: everything is verified anew. */
  readonly cache?: ChainCache;
  /** Called before the signatures of a chain that the cache does not know are verified. May throw `rate_limited`. */
  beforeSignatures?(): void;
}
