/**
 * The history of one consent: changes that each name the hash of the one before, so that none can be altered, dropped or
 * put between later. Pure. The newest hash of every change also stands in the mesh's log (`ConsentChanged.hash`).
 */
import { createHash } from 'node:crypto';

export type ConsentChangeKind = 'granted' | 'narrowed' | 'extended' | 'withdrawn' | 'expired';

/** One change, with what the consent was after it. */
export interface ConsentChange {
  readonly consent: string;
  /** 1, 2, 3 …: the version that the consent has from this change on. */
  readonly version: number;
  readonly change: ConsentChangeKind;
  readonly atS: number;
  readonly scopes: readonly string[];
  readonly untilS: number;
  /** `user`, `authority`, `administrator` (by configuration), or the SPIFFE ID of an operator. */
  readonly by: string;
  readonly reason: string;
  /** The text that the user was shown; empty where no page was. */
  readonly shown: string;
  readonly deferrable: { readonly maxS: number; readonly uses: number } | null;
}

export interface HashedChange extends ConsentChange {
  /** 32 bytes; zeros for the first. */
  readonly previousHash: Buffer;
  readonly hash: Buffer;
}

/** What the first change names as the one before. */
export const NO_PREVIOUS_HASH: Buffer = Buffer.alloc(32);

/**
 * SHA-256 over `behalf-consent-change-v1`, 0x00, the hash before, and the change's members as a JSON array in fixed order; the two
 * of `deferrable` stand at the end where there are such, so that hashes from before there were any still hold.
 */
export function hashOfChange(change: ConsentChange, previousHash: Buffer): Buffer {
  const { consent, version, change: kind, atS, scopes, untilS, by, reason, shown, deferrable } = change;
  const later = deferrable === null ? [] : [deferrable.maxS, deferrable.uses];
  return createHash('sha256')
    .update('behalf-consent-change-v1\0', 'ascii')
    .update(previousHash)
    .update(JSON.stringify([consent, version, kind, atS, scopes, untilS, by, reason, shown, ...later]), 'utf8')
    .digest();
}

/** The version of the first change that does not follow from the one before, or null where the history holds. */
export function firstBrokenVersion(history: readonly HashedChange[]): number | null {
  let previous = NO_PREVIOUS_HASH;
  for (const [index, change] of history.entries()) {
    const follows = change.version === index + 1 && change.previousHash.equals(previous);
    if (!follows || !hashOfChange(change, previous).equals(change.hash)) return change.version;
    previous = change.hash;
  }
  return null;
}
