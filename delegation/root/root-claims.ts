/** The claims of a root (WIRE.md section 1), as they stand on the wire. `parse-root.ts` reads them. */
import type { JsonObject } from '../../identity/jws.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';

export const ROOT_TYP = 'txntoken+jwt';

/** One entry of RFC 9396 `authorization_details`: its `type` says by which rule it narrows. */
export type AuthorizationDetail = JsonObject & { readonly type: string };

/** What a deferred root carries on from the chain it came from (WIRE.md section 6). */
export interface DeferredOrigin {
  readonly ref: string;
  readonly txn: string;
  readonly depth: number;
  readonly wl: readonly SpiffeId[];
  /** Where the old chain limited who may follow: the ones that all of its limits left. Binds every `aud` of the new chain. */
  readonly next?: readonly SpiffeId[];
}

/** Fixed for the life of the chain. A user's root has the first four; a workload's own root at most `max_depth` and `purpose`. */
export interface RootContextClaims {
  readonly client_id?: string;
  readonly consent?: { readonly id: string; readonly version: number };
  readonly grant?: string;
  readonly purpose?: string;
  readonly authorization_details?: readonly AuthorizationDetail[];
  readonly acr?: string;
  readonly max_depth?: number;
  readonly deferred?: DeferredOrigin;
}

/** Claims of a Transaction Token as the authority mints it. Times in seconds. */
export interface RootClaims {
  readonly iss: string;
  readonly aud: string;
  readonly iat: number;
  readonly exp: number;
  /** 16 random bytes, base64url. */
  readonly txn: string;
  /** `u:` and 16 random bytes, base64url; or the SPIFFE ID of a workload that acts for itself. */
  readonly sub: string;
  /** Scope tokens joined by one space, or empty. */
  readonly scope: string;
  readonly req_wl: SpiffeId;
  readonly tctx: RootContextClaims;
  readonly rctx?: JsonObject;
}

/** A root whose form is right. Nothing is known about who signed it. */
export interface ParsedRoot {
  readonly compact: string;
  readonly kid: string;
  readonly claims: RootClaims;
  /** The scope as a list, in the root's order. */
  readonly scope: readonly string[];
  readonly signingInput: string;
  readonly signature: Buffer;
  /** base64url SHA-256 of the signing input: link 1's `par_hash`. */
  readonly signingInputS256: string;
}
