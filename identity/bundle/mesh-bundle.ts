/**
 * The mesh bundle document (DESIGN section 3): the keys of one trust domain, in SPIFFE's JSON form (SPIFFE Trust Domain and
 * Bundle, section 4) with one more member, `behalf`, for the keys of the mesh's own parts. Readers of SPIFFE bundles ignore it.
 */
import type { webcrypto } from 'node:crypto';

/** An entry of `keys`: `use` is `x509-svid` (with `x5c`), `wit-svid` or `jwt-svid` (with `kid`). */
export interface BundleKey extends webcrypto.JsonWebKey {
  readonly use: string;
  readonly kid?: string;
  /** Base64 (not url) DER, for `x509-svid`. */
  readonly x5c?: readonly string[];
}

/** A public JWK with its name. */
export interface NamedJwk extends webcrypto.JsonWebKey {
  readonly kid: string;
}

/** Keys of the mesh's own parts. Each list may be empty until that part has published its keys. */
export interface PartKeys {
  /** Ed25519: signs this document. */
  readonly bundle_keys: readonly NamedJwk[];
  /** The authority's issuer URL, or empty. */
  readonly issuer: string;
  readonly jwks_uri: string;
  /** P-256: sign roots (Transaction Tokens). */
  readonly root_keys: readonly NamedJwk[];
  /** Ed25519: sign policy snapshots. */
  readonly policy_keys: readonly NamedJwk[];
  /** Ed25519: sign live-state entries and heartbeats, a source. */
  readonly live_state_keys: { readonly authority: readonly NamedJwk[]; readonly ca: readonly NamedJwk[] };
  /** C2SP verifier keys (`<origin>+<hash>+<base64>`) of the log. */
  readonly log_keys: readonly string[];
}

export interface MeshBundleDocument {
  readonly keys: readonly BundleKey[];
  readonly spiffe_sequence: number;
  readonly spiffe_refresh_hint: number;
  readonly trust_domain: string;
  readonly behalf: PartKeys;
}
