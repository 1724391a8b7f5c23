/**
 * Links that were made, kept to be sent again where WIRE section 1 allows it: same parent, same receiver, same narrowing, the
 * same WIT signs, and 5 s are left. None of ours has `rte` or `once`, which would forbid it. Bounded; the oldest goes first.
 */
import { mintLink, type OutgoingChain, type VerifiedChain, type VerifiedRoot } from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { IssuedIdentity } from '../../identity/own/own-identity.ts';

const MAX_LINKS_KEPT = 4_096;
/** A link is sent again only while this much of its life is left. */
const REUSE_LEFT_S = 5;
const JTI_BYTES = 12;

export interface LinkOrder {
  readonly parent: VerifiedRoot | VerifiedChain;
  readonly to: SpiffeId;
  readonly narrowTo: readonly string[] | null;
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
  return {
    get({ parent, to, narrowTo, signer, nowS }) {
      const key = keyOf(parent, to, signer, narrowTo);
      const before = kept.get(key);
      if (before !== undefined && before.expS - nowS >= REUSE_LEFT_S) return { chain: before, isNew: false };
      const chain = mintLink({ parent, to, signer, nowS, jti: random(JTI_BYTES), narrowTo });
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
function keyOf(
  parent: LinkOrder['parent'],
  to: SpiffeId,
  { witS256 }: IssuedIdentity,
  narrowTo: LinkOrder['narrowTo'],
): string {
  const scope = narrowTo === null ? 'all' : `"${narrowTo.join(' ')}`;
  return `${parent.chainId.toString('base64url')} ${to} ${witS256} ${scope}`;
}
