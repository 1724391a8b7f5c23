/**
 * A piece of work that outlives its request, as the authority keeps it (WIRE.md section 6). Its reference, which takes it up again, is
 * a secret of the workload that put it off and is kept as a hash alone; `id` is public. The user stands in it as the account.
 */
import type { AuthorizationDetail, SignerFacts } from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';

export type DeferredState = 'standing' | 'used' | 'cancelled' | 'revoked' | 'expired';

/** What was left of the old chain, and what a revocation can hit in it. */
export interface LeftOfChain {
  /** Of which delegation: SHA-256 of the signing input of its last link. Absent in grants that were made before it was kept. */
  readonly from?: string;
  readonly scope: readonly string[];
  /** Null where the root had none. */
  readonly details: readonly AuthorizationDetail[] | null;
  /** What all limits on who may follow left together; null for no limit. */
  readonly next: readonly SpiffeId[] | null;
  readonly maxDepth: number;
  readonly depth: number;
  /** The workloads before the holder, from `req_wl` on. */
  readonly before: readonly SpiffeId[];
  readonly acr: string | null;
  readonly root: { readonly iat: number; readonly kid: string; readonly consentVersion: number };
  /** Who signed the links, and the holder with the certificate with which it asked. */
  readonly signers: readonly SignerFacts[];
}

export interface DeferredGrant {
  /** `d:` and 128 random bits, base64url. */
  readonly id: string;
  readonly holder: SpiffeId;
  readonly account: string;
  readonly consent: string;
  readonly clientId: string;
  readonly grantId: string;
  /** Of the request's root. */
  readonly txn: string;
  readonly chain: LeftOfChain;
  /** What the work is, in the holder's words; the purpose of what is done is the consent's. */
  readonly purpose: string;
  readonly madeS: number;
  readonly untilS: number;
  readonly uses: number;
  readonly usesLeft: number;
  /** When the last root was made of it; 0 before the first. */
  readonly usedS: number;
  readonly state: DeferredState;
  readonly endedBy: string;
  readonly endedWhy: string;
}
