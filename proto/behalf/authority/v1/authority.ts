/** Shapes of `authority.proto`: what handlers and clients of the authority's gRPC services see. */
import { type Bidi, defineService, type Unary } from '../../../service.ts';

/** RFC 8693 token exchange for workloads registered as entries. */
export type TokenExchange = {
  exchange: Bidi<ExchangeRequest, ExchangeResponse>;
};

export interface ExchangeRequest {
  readonly id: number;
  readonly subjectToken: string;
  readonly subjectTokenType: string;
  readonly scope: string;
  readonly authorizationDetails: string;
  readonly purpose: string;
  readonly dpopProof: string;
  readonly dpopMethod: string;
  readonly dpopUri: string;
  readonly ownTo: string;
  readonly clientCertificateS256: string;
  /** An audience outside the mesh: a token for there is asked for, and no root. */
  readonly audience: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
  readonly narrows: boolean;
}

export interface ExchangeResponse {
  readonly id: number;
  readonly outcome?: 'issued' | 'refusal';
  readonly issued?: Issued | null;
  readonly refusal?: Refusal | null;
}

export interface Issued {
  readonly txnToken: string;
  readonly expiresS: number;
  readonly scope: string;
  /** Instead of a root: a token for the audience asked for, and its `jti`. */
  readonly accessToken: string;
  readonly jti: string;
}

export interface Refusal {
  readonly code: string;
  readonly oauthError: string;
  readonly description: string;
}

/** Consents, for operators and the CLI. */
export type Consents = {
  listConsents: Unary<ListConsentsRequest, ListConsentsResponse>;
  consentHistory: Unary<ConsentHistoryRequest, ConsentHistoryResponse>;
  revokeConsent: Unary<RevokeConsentRequest, RevokeConsentResponse>;
  lookUpSubject: Unary<LookUpSubjectRequest, LookUpSubjectResponse>;
};

export interface Consent {
  readonly id: string;
  readonly version: number;
  readonly account: string;
  readonly subject: string;
  readonly clientId: string;
  readonly scopes: string[];
  readonly purpose: string;
  readonly fromS: number;
  readonly untilS: number;
  readonly state: string;
  readonly deferrableS: number;
  readonly deferrableUses: number;
}

export interface ListConsentsRequest {
  readonly account: string;
}
export interface ListConsentsResponse {
  readonly consents: Consent[];
}
export interface ConsentHistoryRequest {
  readonly id: string;
}
export interface ConsentChange {
  readonly version: number;
  readonly change: string;
  readonly atS: number;
  readonly scopes: string[];
  readonly untilS: number;
  readonly by: string;
  readonly previousHash: Buffer;
  readonly hash: Buffer;
  readonly reason: string;
  readonly shown: string;
}
export interface ConsentHistoryResponse {
  readonly consent: Consent | null;
  readonly changes: ConsentChange[];
}
export interface RevokeConsentRequest {
  readonly id: string;
  readonly reason: string;
}
export interface RevokeConsentResponse {
  readonly consent: Consent | null;
  readonly number: number;
}
export interface LookUpSubjectRequest {
  readonly account: string;
}
export interface LookUpSubjectResponse {
  readonly subject: string;
}

/** Taking back, for operators. */
export type Revocations = {
  revoke: Unary<RevokeRequest, RevokeResponse>;
  liftBan: Unary<LiftBanRequest, LiftBanResponse>;
  listBans: Unary<ListBansRequest, ListBansResponse>;
};

export interface RevokeRequest {
  readonly kind: string;
  readonly value: string;
  readonly reason: string;
  readonly ban: boolean;
}
export interface RevokeResponse {
  readonly number: number;
  readonly grantsEnded: number;
  readonly nextKid: string;
}
export interface LiftBanRequest {
  readonly kind: string;
  readonly value: string;
}
export type LiftBanResponse = Record<never, never>;
export type ListBansRequest = Record<never, never>;
export interface Ban {
  readonly kind: string;
  readonly value: string;
  readonly sinceS: number;
  readonly by: string;
  readonly reason: string;
}
export interface ListBansResponse {
  readonly bans: Ban[];
}

/** Work that outlives its request: sidecars for their own, operators for all. */
export type Deferrals = {
  defer: Unary<DeferRequest, DeferResponse>;
  listDeferred: Unary<ListDeferredRequest, ListDeferredResponse>;
  cancelDeferred: Unary<CancelDeferredRequest, CancelDeferredResponse>;
};

export interface DeferRequest {
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
  readonly purpose: string;
  readonly maxS: number;
  readonly uses: number;
  readonly scope: string;
  readonly narrows: boolean;
  readonly authorizationDetails: string;
}
export interface DeferResponse {
  readonly reference: string;
  readonly deferred: Deferred | null;
}
export interface Deferred {
  readonly id: string;
  readonly holder: string;
  readonly subject: string;
  readonly account: string;
  readonly clientId: string;
  readonly consentId: string;
  readonly txn: string;
  readonly scopes: string[];
  readonly purpose: string;
  readonly madeS: number;
  readonly untilS: number;
  readonly uses: number;
  readonly usesLeft: number;
  readonly state: string;
  readonly endedBy: string;
  readonly endedWhy: string;
}
export interface ListDeferredRequest {
  readonly ended: boolean;
}
export interface ListDeferredResponse {
  readonly deferred: Deferred[];
}
export interface CancelDeferredRequest {
  readonly id: string;
  readonly reason: string;
}
export interface CancelDeferredResponse {
  readonly deferred: Deferred | null;
  readonly number: number;
}

export const tokenExchange = defineService<TokenExchange>(
  'behalf/authority/v1/authority.proto',
  'behalf.authority.v1.TokenExchange',
);
export const consents = defineService<Consents>('behalf/authority/v1/authority.proto', 'behalf.authority.v1.Consents');
export const revocations = defineService<Revocations>(
  'behalf/authority/v1/authority.proto',
  'behalf.authority.v1.Revocations',
);
export const deferrals = defineService<Deferrals>(
  'behalf/authority/v1/authority.proto',
  'behalf.authority.v1.Deferrals',
);
