/** TypeScript shapes of `ca.proto`, as handlers and clients see its messages (see `proto/service.ts`). */
import { defineService, type ServerStream, type Unary } from '../../../service.ts';
import type { SignedStatement } from '../../state/v1/state.ts';

/** Asks for nothing or acknowledges: no fields. */
export type Empty = Readonly<Record<never, never>>;

export interface AttestRequest {
  readonly attestation?: 'joinToken' | 'unixPeer';
  readonly joinToken?: string;
  readonly unixPeer?: Empty;
  readonly csr: Buffer;
  readonly witPublicJwk: string;
  readonly ttlS: number;
}

export interface RenewRequest {
  readonly csr: Buffer;
  readonly witPublicJwk: string;
  readonly ttlS: number;
}

export interface Svid {
  readonly spiffeId: string;
  readonly certificateChain: readonly Buffer[];
  readonly wit: string;
  readonly notAfterS: number;
  readonly bundle: SignedStatement | null;
}

export interface BundlesRequest {
  readonly usingSequence: number;
}

export interface BundlesResponse {
  readonly bundle: SignedStatement | null;
}

export interface PublishKeysRequest {
  readonly keysJson: string;
}

export interface PublishKeysResponse {
  readonly sequence: number;
}

export interface Entry {
  readonly id: string;
  readonly spiffeId: string;
  readonly selectors: readonly string[];
  readonly ttlS: number;
  readonly owner: string;
  readonly reason: string;
  readonly createdS: number;
}

export interface ListEntriesResponse {
  readonly entries: readonly Entry[];
}

export interface DeleteEntryRequest {
  readonly id: string;
}

export interface CreateJoinTokenRequest {
  readonly spiffeId: string;
  readonly ttlS: number;
}

export interface CreateJoinTokenResponse {
  readonly token: string;
  readonly expiresS: number;
}

export interface RevokeRequest {
  readonly kind: string;
  readonly value: string;
  readonly reason: string;
  readonly ban: boolean;
}

export interface RevokeResponse {
  readonly number: number;
  /** Empty but for a `kid`. */
  readonly nextKid: string;
}

export interface LiftBanRequest {
  readonly spiffeId: string;
}

/** Attests workloads and issues their identities. */
export interface CertificateAuthority {
  readonly attest: Unary<AttestRequest, Svid>;
  readonly renew: Unary<RenewRequest, Svid>;
  readonly bundles: ServerStream<BundlesRequest, BundlesResponse>;
  readonly publishKeys: Unary<PublishKeysRequest, PublishKeysResponse>;
}

/** Entries, join tokens and revocation, for operators. */
export interface Registration {
  readonly createEntry: Unary<Entry, Entry>;
  readonly listEntries: Unary<Empty, ListEntriesResponse>;
  readonly deleteEntry: Unary<DeleteEntryRequest, Empty>;
  readonly createJoinToken: Unary<CreateJoinTokenRequest, CreateJoinTokenResponse>;
  readonly revoke: Unary<RevokeRequest, RevokeResponse>;
  readonly liftBan: Unary<LiftBanRequest, Empty>;
}

export const certificateAuthority = defineService<CertificateAuthority>(
  'behalf/ca/v1/ca.proto',
  'behalf.ca.v1.CertificateAuthority',
);
export const registration = defineService<Registration>('behalf/ca/v1/ca.proto', 'behalf.ca.v1.Registration');
