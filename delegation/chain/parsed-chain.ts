/** A chain whose form is right, and all that follows from its bytes alone. Nothing is known yet about who signed it. */

import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { ParsedWit } from '../../identity/wit/index.ts';
import type { ParsedLink } from '../link/link-claims.ts';
import type { RevocableFacts } from '../revocation/index.ts';
import type { ParsedRoot } from '../root/root-claims.ts';

/** The three header values as received; null where absent. */
export interface ChainHeaders {
  readonly txnToken: string | null;
  readonly delegationChain: string | null;
  readonly delegationCredentials: string | null;
}

/** One signer's part: its WIT and the link that it signed. */
export interface ParsedHop {
  readonly link: ParsedLink;
  readonly wit: ParsedWit;
  /** Who must have signed: `req_wl` for link 1, else the `aud` before. */
  readonly holder: SpiffeId;
}

export interface ParsedChain {
  readonly root: ParsedRoot;
  /** At least one. */
  readonly hops: readonly ParsedHop[];
  readonly last: ParsedHop;
  /** `req_wl`, then each `aud`. */
  readonly workloads: readonly SpiffeId[];
  readonly revocable: RevocableFacts;
  /** First 16 bytes of `digest`. */
  readonly chainId: Buffer;
  /** base64url SHA-256 of WIRE.md section 2, "Slots": the cache's key. */
  readonly digest: string;
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
}
