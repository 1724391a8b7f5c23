/**
 * The revocations that can still hit something, indexed by kind and value, so that judging a call costs a lookup a fact and
 * nothing while the set is empty. Bounded: a set that had to leave one out refuses everything, because it no longer knows.
 */
import { BehalfError } from '../../errors/index.ts';
import {
  hitsConsent,
  mayRevoke,
  type RevocableFacts,
  type Revocation,
  type RevocationSource,
  type RootFacts,
  type SignerFacts,
} from './revocation.ts';

/** Entries at most. At the limit `hit` refuses with `revocation_stale` until a new set is filled. */
export const DEFAULT_MAX_REVOCATIONS = 250_000;

export interface RevocationSet {
  /**
   * Takes a revocation until `forgetAtS` (seconds). Gives false, and takes nothing, where the source may not state that kind.
   * @throws {BehalfError} `revocation_stale` where the set is full: from then on `hit` refuses too
   */
  add(revocation: Revocation, forgetAtS: number, source: RevocationSource): boolean;
  /**
   * The first revocation that hits, or null. The root is asked before the signers, lowest link first.
   * @throws {BehalfError} `revocation_stale` where an entry did not fit any more
   */
  hit(facts: RevocableFacts): Revocation | null;
  /** Drops entries whose time to forget has come; gives how many. One coarse sweep now and then is enough. */
  forget(nowS: number): number;
  readonly size: number;
  readonly isEmpty: boolean;
  /** Grows with every entry that can change an answer; for keys of caches. */
  readonly epoch: number;
}

/**
 * One value of one kind. Of several revocations the widest counts: the greatest `before` and the greatest `version`.
 * Both are kept, since they hit by different rules.
 */
interface Slot {
  byTime: Revocation | null;
  byVersion: Revocation | null;
  forgetAtS: number;
}

type Index = Map<string, Slot>;

/** Each kind by its source, because `kid` of the authority and of the CA name different keys. */
interface Indexes {
  readonly txn: Index;
  readonly sub: Index;
  readonly client: Index;
  readonly consent: Index;
  readonly grant: Index;
  readonly deferred: Index;
  readonly rootKid: Index;
  readonly workload: Index;
  readonly wit: Index;
  readonly cert: Index;
  readonly witKid: Index;
}

/** An empty set. */
export function createRevocationSet({
  maxEntries = DEFAULT_MAX_REVOCATIONS,
}: {
  maxEntries?: number;
} = {}): RevocationSet {
  const indexes = emptyIndexes();
  let size = 0;
  let epoch = 0;
  let incomplete = false;

  return {
    add(revocation, forgetAtS, source) {
      if (!mayRevoke(source, revocation.kind)) return false;
      const index = indexOf(indexes, revocation, source);
      const slot = index.get(revocation.value);
      if (slot !== undefined) {
        if (widen(slot, revocation)) epoch++;
        slot.forgetAtS = Math.max(slot.forgetAtS, forgetAtS);
        return true;
      }
      if (size >= maxEntries) {
        // INVARIANT: an incomplete set never answers "nothing is revoked".
        incomplete = true;
        throw new BehalfError('revocation_stale', { why: 'more revocations than fit', maxEntries });
      }
      index.set(revocation.value, newSlot(revocation, forgetAtS));
      size++;
      epoch++;
      return true;
    },
    hit(facts) {
      if (incomplete) throw new BehalfError('revocation_stale', { why: 'more revocations than fit', maxEntries });
      if (size === 0) return null;
      return hitRoot(indexes, facts.root) ?? hitSigners(indexes, facts.signers);
    },
    forget(nowS) {
      let forgotten = 0;
      for (const index of Object.values(indexes) as Index[]) {
        for (const [value, slot] of index) {
          if (slot.forgetAtS > nowS) continue;
          index.delete(value);
          forgotten++;
        }
      }
      size -= forgotten;
      return forgotten;
    },
    get size() {
      return size;
    },
    get isEmpty() {
      return size === 0 && !incomplete;
    },
    get epoch() {
      return epoch;
    },
  };
}

function emptyIndexes(): Indexes {
  return {
    txn: new Map(),
    sub: new Map(),
    client: new Map(),
    consent: new Map(),
    grant: new Map(),
    deferred: new Map(),
    rootKid: new Map(),
    workload: new Map(),
    wit: new Map(),
    cert: new Map(),
    witKid: new Map(),
  };
}

function indexOf(indexes: Indexes, { kind }: Revocation, source: RevocationSource): Index {
  if (kind === 'kid') return source === 'authority' ? indexes.rootKid : indexes.witKid;
  return indexes[kind];
}

function newSlot(revocation: Revocation, forgetAtS: number): Slot {
  const byVersion = revocation.kind === 'consent' && revocation.version !== undefined;
  return { byTime: byVersion ? null : revocation, byVersion: byVersion ? revocation : null, forgetAtS };
}

function widen(slot: Slot, revocation: Revocation): boolean {
  if (revocation.kind === 'consent' && revocation.version !== undefined) {
    if (slot.byVersion !== null && (slot.byVersion.version ?? 0) >= revocation.version) return false;
    slot.byVersion = revocation;
    return true;
  }
  if (slot.byTime !== null && slot.byTime.before >= revocation.before) return false;
  slot.byTime = revocation;
  return true;
}

function hitRoot(indexes: Indexes, root: RootFacts | null): Revocation | null {
  if (root === null) return null;
  const { iat } = root;
  return (
    hitByTime(indexes.txn, root.txn, iat) ??
    hitByTime(indexes.sub, root.sub, iat) ??
    hitByTime(indexes.client, root.client, iat) ??
    hitByConsent(indexes.consent, root) ??
    hitByTime(indexes.grant, root.grant, iat) ??
    hitByTime(indexes.deferred, root.deferred, iat) ??
    hitByTime(indexes.rootKid, root.kid, iat)
  );
}

function hitSigners(indexes: Indexes, signers: readonly SignerFacts[]): Revocation | null {
  for (const signer of signers) {
    const hit =
      hitByTime(indexes.workload, signer.workload, signer.iat) ??
      hitByTime(indexes.wit, signer.jti, signer.iat) ??
      hitByTime(indexes.cert, signer.certificate, signer.iat) ??
      hitByTime(indexes.witKid, signer.kid, signer.iat);
    if (hit !== null) return hit;
  }
  return null;
}

function hitByTime(index: Index, value: string | null, iat: number): Revocation | null {
  if (value === null || index.size === 0) return null;
  const byTime = index.get(value)?.byTime ?? null;
  return byTime !== null && iat <= byTime.before ? byTime : null;
}

function hitByConsent(index: Index, root: RootFacts): Revocation | null {
  if (root.consent === null || index.size === 0) return null;
  const slot = index.get(root.consent);
  if (slot === undefined) return null;
  if (slot.byTime !== null && hitsConsent(slot.byTime, root)) return slot.byTime;
  return slot.byVersion !== null && hitsConsent(slot.byVersion, root) ? slot.byVersion : null;
}
