/**
 * Links that were made, kept to be sent again where WIRE section 1 allows it: same parent, same receiver, same limits, the
 * same WIT signs, and 5 s are left; never one with `rte`, `once` or a part of what can be spent. Bounded; the oldest goes first.
 */
import {
  type AuthorizationDetail,
  type DetailTypes,
  mintLink,
  type OutgoingChain,
  type VerifiedChain,
  type VerifiedRoot,
} from '../../../delegation/index.ts';
import type { SpiffeId } from '../../../identity/index.ts';
import type { IssuedIdentity } from '../../../identity/own/own-identity.ts';

const MAX_LINKS_KEPT = 4_096;
/** A link is sent again only while this much of its life is left. */
const REUSE_LEFT_S = 5;
const JTI_BYTES = 12;

export interface LinkOrder {
  readonly parent: VerifiedRoot | VerifiedChain;
  readonly to: SpiffeId;
  readonly narrowTo: readonly string[] | null;
  /** What to leave of the details; null leaves them unchanged. */
  readonly details: readonly AuthorizationDetail[] | null;
  readonly detailTypes: DetailTypes;
  /** Whether a part of a spendable detail goes on: then the link is made for this one call. */
  readonly divided: boolean;
  /** Limits on who follows, of the edge (`del_max_depth`, `next`). */
  readonly maxDepth: number | null;
  readonly next: readonly SpiffeId[] | null;
  /** What the route binds the link to; with either of them it is made for this one call. */
  readonly rte: string | null;
  readonly once: string | null;
  readonly signer: IssuedIdentity;
  readonly nowS: number;
}

export interface LinkCache {
  /** A chain to send; `isNew` where it was made just now. @throws {BehalfError} as `mintLink` */
  get(order: LinkOrder): { readonly chain: OutgoingChain; readonly isNew: boolean };
  /** Forgets everything, as after a revocation. */
  clear(): void;
  /** Forgets what has ended. */
  evictExpired(nowS: number): void;
}

export function createLinkCache(random: (bytes: number) => Buffer): LinkCache {
  const kept = new Map<string, OutgoingChain>();
  const make = (order: LinkOrder): OutgoingChain => mintLink({ ...order, jti: random(JTI_BYTES) });
  return {
    get(order) {
      const { rte, once, divided, nowS } = order;
      if (rte !== null || once !== null || divided) return { chain: make(order), isNew: true };
      const key = keyOf(order);
      const before = kept.get(key);
      if (before !== undefined && before.expS - nowS >= REUSE_LEFT_S) return { chain: before, isNew: false };
      const chain = make(order);
      kept.delete(key);
      if (kept.size >= MAX_LINKS_KEPT) kept.delete(kept.keys().next().value as string);
      kept.set(key, chain);
      return { chain, isNew: true };
    },
    clear: () => kept.clear(),
    evictExpired(nowS) {
      for (const [key, { expS }] of kept) if (expS <= nowS) kept.delete(key);
    },
  };
}

/**
 * INVARIANT: all that the link's claims follow from, but the time. The scope stands last, behind a sign that no scope token
 * holds: nothing that is asked can look like another order.
 */
function keyOf({ parent, to, signer, maxDepth, next, narrowTo, details }: LinkOrder): string {
  const limits = `${maxDepth ?? 'all'} ${next === null ? 'all' : `"${next.join(',')}`}`;
  const scope = narrowTo === null ? 'all' : `"${narrowTo.join(' ')}`;
  // JSON ends where it ends: what follows it cannot be taken for a part of it.
  const left = details === null ? 'all' : JSON.stringify(details);
  return `${parent.chainId.toString('base64url')} ${to} ${signer.witS256} ${limits} ${left} ${scope}`;
}
