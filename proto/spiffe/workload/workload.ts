/**
 * Messages of the SPIFFE Workload API (workload.proto of the SPIFFE project), in the shapes that `proto/service.ts` gives.
 * The proto has no package, so the service's full name is its bare name.
 */
import { defineService, type ServerStream, type Unary } from '../../service.ts';

export type X509SVIDRequest = Record<never, never>;

/** All SVIDs that the caller is entitled to; the first is its default identity. */
export interface X509SVIDResponse {
  readonly svids: readonly X509SVID[];
  readonly crl: readonly Buffer[];
  /** Concatenated DER roots of foreign trust domains, by trust domain ID. */
  readonly federatedBundles: { readonly [trustDomain: string]: Buffer };
}

export interface X509SVID {
  readonly spiffeId: string;
  /** Concatenated DER, leaf first. */
  readonly x509Svid: Buffer;
  /** PKCS#8 DER. */
  readonly x509SvidKey: Buffer;
  /** Concatenated DER roots of the SVID's trust domain. */
  readonly bundle: Buffer;
  readonly hint: string;
}

export type X509BundlesRequest = Record<never, never>;

export interface X509BundlesResponse {
  readonly crl: readonly Buffer[];
  /** Concatenated DER roots, by trust domain ID (`spiffe://…`). */
  readonly bundles: { readonly [trustDomain: string]: Buffer };
}

export interface JWTSVIDRequest {
  readonly audience: readonly string[];
  readonly spiffeId: string;
}

export interface JWTSVIDResponse {
  readonly svids: readonly JWTSVID[];
}

export interface JWTSVID {
  readonly spiffeId: string;
  readonly svid: string;
  readonly hint: string;
}

export type JWTBundlesRequest = Record<never, never>;

export interface JWTBundlesResponse {
  /** JWK Set as UTF-8 JSON, by trust domain ID. */
  readonly bundles: { readonly [trustDomain: string]: Buffer };
}

export interface ValidateJWTSVIDRequest {
  readonly audience: string;
  readonly svid: string;
}

export interface ValidateJWTSVIDResponse {
  readonly spiffeId: string;
  /** google.protobuf.Struct as the loader gives it. */
  readonly claims: unknown;
}

export type SpiffeWorkloadApi = {
  fetchX509SVID: ServerStream<X509SVIDRequest, X509SVIDResponse>;
  fetchX509Bundles: ServerStream<X509BundlesRequest, X509BundlesResponse>;
  fetchJWTSVID: Unary<JWTSVIDRequest, JWTSVIDResponse>;
  fetchJWTBundles: ServerStream<JWTBundlesRequest, JWTBundlesResponse>;
  validateJWTSVID: Unary<ValidateJWTSVIDRequest, ValidateJWTSVIDResponse>;
};

export const spiffeWorkloadApi = defineService<SpiffeWorkloadApi>(
  'spiffe/workload/workload.proto',
  'SpiffeWorkloadAPI',
);
