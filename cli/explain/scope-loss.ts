/** Where a scope that a call needed went: which link narrowed it away, or why the root never had it. Pure. */

import type { ChainView } from '../chain/view-chain.ts';
import { shortName } from '../draw/words.ts';

export type LossPlace =
  /** A link narrowed it away. */
  | 'link'
  /** The user never granted it. */
  | 'consent'
  /** The entry's route neither needs it nor passes it on. */
  | 'entry_route'
  /** It is above what that entry may obtain. */
  | 'entry_ceiling'
  /** A workload's own root: policy gives it none. */
  | 'own'
  /** The root lacks it and nothing here says why. */
  | 'root';

export interface ScopeLoss {
  readonly scope: string;
  readonly at: LossPlace;
  /** The link that dropped it, counted from 1. */
  readonly link: number | null;
  /** The call that this link was signed for, where it is on record. */
  readonly hop: string | null;
  /** One sentence. */
  readonly words: string;
}

/** What is known beside the chain; null where it is not. */
export interface LossFacts {
  readonly consentScopes: readonly string[] | null;
  readonly entryRoute: { readonly name: string; readonly scopes: readonly string[] } | null;
  readonly entryCeiling: readonly string[] | null;
  /** The hop of the same request from one workload to another at that depth. */
  hopOf(from: string, to: string, depth: number): string | null;
}

/** One answer a missing scope. */
export function findScopeLoss(chain: ChainView, missing: readonly string[], facts: LossFacts): ScopeLoss[] {
  return missing.map((scope) =>
    chain.root.scope.includes(scope) ? lostOnTheWay(chain, scope, facts) : neverThere(chain, scope, facts),
  );
}

function lostOnTheWay({ links }: ChainView, scope: string, { hopOf }: LossFacts): ScopeLoss {
  const at = links.findIndex(({ dropped }) => dropped.includes(scope));
  const link = links[at];
  // INVARIANT: the root had it and the holder has not, so some link dropped it.
  if (link === undefined) return loss(scope, 'root', `${scope} is not lost on this chain.`);
  const { from, to, depth } = link;
  const hop = hopOf(from, to, depth);
  const where = hop === null ? '' : `, in hop ${hop}`;
  const words = `${scope} was lost at link ${at + 1}: ${shortName(from)} handed on to ${shortName(to)} without it${where}. The edge narrows it away, or the app asked for less.`;
  return { scope, at: 'link', link: at + 1, hop, words };
}

function neverThere({ root }: ChainView, scope: string, facts: LossFacts): ScopeLoss {
  const { consentScopes, entryRoute, entryCeiling } = facts;
  const entry = shortName(root.entry);
  if (root.consent === null) {
    return loss(
      scope,
      'own',
      `${scope} was never there: ${entry} acts on its own authority, and policy does not give it that on this edge.`,
    );
  }
  if (consentScopes !== null && !consentScopes.includes(scope)) {
    return loss(
      scope,
      'consent',
      `${scope} was never granted: the consent gives ${consentScopes.join(' ') || 'nothing'}.`,
    );
  }
  if (entryCeiling !== null && !entryCeiling.includes(scope)) {
    return loss(scope, 'entry_ceiling', `${scope} was never there: it is above what ${entry} may obtain for users.`);
  }
  if (entryRoute !== null && !entryRoute.scopes.includes(scope)) {
    const words = `${scope} was never there: ${entryRoute.name} of ${entry}, where the request entered, neither needs it nor passes it on.`;
    return loss(scope, 'entry_route', words);
  }
  return loss(scope, 'root', `${scope} was never there: the root was made without it.`);
}

function loss(scope: string, at: LossPlace, words: string): ScopeLoss {
  return { scope, at, link: null, hop: null, words };
}
