/** The claims of a link (WIRE.md section 1), as they stand on the wire. `parse-link.ts` reads them. */
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';

export const LINK_TYP = 'dlglink-1+jwt';

/** Exactly these members; the optional ones say "unchanged" or "no such limit" by their absence. Times in seconds. */
export interface LinkClaims {
  readonly par_hash: string;
  readonly aud: SpiffeId;
  readonly iat: number;
  readonly exp: number;
  /** 12 random bytes, base64url. */
  readonly jti: string;
  readonly del_depth: number;
  /** base64url SHA-256 of the signer's WIT in compact form. */
  readonly wth: string;
  readonly scope?: string;
  readonly authorization_details?: readonly AuthorizationDetail[];
  readonly del_max_depth?: number;
  readonly next?: readonly SpiffeId[];
  /** `<METHOD> <template>`; binds the last link only. */
  readonly rte?: string;
  /** base64url SHA-256 of the receiver's TLS certificate; binds the last link only. */
  readonly once?: string;
}

/** A link whose form is right. Nothing is known about who signed it. */
export interface ParsedLink {
  readonly compact: string;
  readonly claims: LinkClaims;
  /** The scope as a list, or null where the link leaves it unchanged. */
  readonly scope: readonly string[] | null;
  readonly signingInput: string;
  readonly signature: Buffer;
  /** base64url SHA-256 of the signing input: the next link's `par_hash`. */
  readonly signingInputS256: string;
}
