/**
 * How spendable details are divided (docs/delegation-chain.md section 4, "Details"): what this sidecar handed on of each entry of
 * each delegation that it holds, so that the sum of what goes out stays within what came in. Owns the counts and their bound.
 *
 * Counted by the parent that links are appended to, not by handle or request: a chain that is presented twice has one limit. Another
 * pod of this workload counts for itself; a route that must not be presented to two binds its links to one (`bind: pod`).
 */
import {
  type AuthorizationDetail,
  type Delegation,
  type DetailTypes,
  hasSpendable,
  isDetailSubset,
  matchDetails,
  quantityOf,
  undivided,
} from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';

/** Delegations with something spent at once; the answer beyond it is `overloaded`, as nothing that counts is forgotten. */
const MAX_COUNTED = 16_384;
/** A delegation is taken by verifiers a little past its end, and clocks differ: counts are kept so much longer. */
const KEPT_PAST_END_S = 65;

type Held = Pick<Delegation, 'authorizationDetails' | 'expS' | 'parent'>;

/** What goes on, and what of it was counted. */
export interface Share {
  /** For the link: null leaves the claim out, so that all goes on unchanged. */
  readonly details: readonly AuthorizationDetail[] | null;
  /** Whether anything was counted: then the link is for one receiver, and never for a second call. */
  readonly divided: boolean;
  /** Takes the counts back. Only for a share that never left this process. */
  giveBack(): void;
}

export interface DetailShares {
  /**
   * Takes what a call asks for from what is left of the delegation, in one step. Without a wish (`asked` null) what is spendable
   * stays here and all else goes on.
   * @throws {BehalfError} `delegation_scope_widened` where more is asked than the delegation has, `details_exhausted` where more is
   *   asked than is left of it, `overloaded`
   */
  take(held: Held, asked: readonly AuthorizationDetail[] | null, types: DetailTypes): Share;
  /** Forgets delegations that no verifier takes any more. */
  evictExpired(nowS: number): void;
}

/** Handed on so far, for each entry of the parent. */
interface Counted {
  readonly spent: bigint[];
  readonly forgetAtS: number;
}

const nothing = (): void => undefined;

export function createDetailShares({ maxCounted = MAX_COUNTED }: { readonly maxCounted?: number } = {}): DetailShares {
  const counted = new Map<string, Counted>();

  function countsOf({ parent, expS, authorizationDetails }: Held): Counted {
    const key = parent.signingInputS256;
    const before = counted.get(key);
    if (before !== undefined) return before;
    if (counted.size >= maxCounted) throw new BehalfError('overloaded', { why: 'spent details', limit: maxCounted });
    const spent = new Array<bigint>(authorizationDetails?.length ?? 0).fill(0n);
    const made: Counted = { spent, forgetAtS: expS + KEPT_PAST_END_S };
    counted.set(key, made);
    return made;
  }

  return {
    take(held, asked, types) {
      if (asked === null) {
        return { details: undivided(held.authorizationDetails, types), divided: false, giveBack: nothing };
      }
      const parents = held.authorizationDetails ?? [];
      checkHeld(asked, parents, types);
      if (!hasSpendable(asked, types)) return { details: asked, divided: false, giveBack: nothing };
      const { spent } = countsOf(held);
      const sizes = asked.map((entry) => quantityOf(entry, types)?.value ?? 0n);
      const places = matchDetails(asked.length, parents.length, (i, p) => {
        const parent = parents[p] as AuthorizationDetail;
        if (!isDetailSubset(asked[i] as AuthorizationDetail, parent, types)) return false;
        const size = sizes[i] as bigint;
        return size === 0n || size + (spent[p] as bigint) <= (quantityOf(parent, types)?.value ?? 0n);
      });
      if (places === null) throw new BehalfError('details_exhausted', { object: 'delegation-details' });
      for (const [i, p] of places.entries()) spent[p] = (spent[p] as bigint) + (sizes[i] as bigint);
      return {
        details: asked,
        divided: true,
        giveBack() {
          for (const [i, p] of places.entries()) spent[p] = (spent[p] as bigint) - (sizes[i] as bigint);
        },
      };
    },
    evictExpired(nowS) {
      for (const [key, { forgetAtS }] of counted) if (forgetAtS <= nowS) counted.delete(key);
    },
  };
}

/** @throws {BehalfError} `delegation_scope_widened` */
function checkHeld(
  asked: readonly AuthorizationDetail[],
  parents: readonly AuthorizationDetail[],
  types: DetailTypes,
): void {
  const fits = (i: number, p: number) =>
    isDetailSubset(asked[i] as AuthorizationDetail, parents[p] as AuthorizationDetail, types);
  if (matchDetails(asked.length, parents.length, fits) !== null) return;
  throw new BehalfError('delegation_scope_widened', {
    object: 'delegation-details',
    why: 'asks for more than is left',
  });
}
