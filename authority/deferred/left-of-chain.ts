/** What a chain leaves to work that is put off: never more than it had, and what its holder wishes of that. Pure. */
import {
  type DetailTypes,
  hasSpendable,
  type SignerFacts,
  undivided,
  type VerifiedChain,
  type VerifiedRoot,
} from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { chooseDetails } from '../details/grant-details.ts';
import type { LeftOfChain } from './grant.ts';

/** UNTRUSTED: the holder's wish for less. */
export interface LeftWish {
  /** Null for all. */
  readonly scope: readonly string[] | null;
  /** RFC 9396 JSON; empty for all that is not used up by use. */
  readonly details: string;
  readonly uses: number;
}

/**
 * `before`: what was put off of this request's chains until now. What can be spent goes into one of those of the same chain.
 * @throws {BehalfError} `delegation_scope_widened` where more is wished than is left, `details_exhausted` where that was put off before,
 *   `details_unsupported`; `request_malformed` for several uses of what can be spent once
 */
export function leftOfChain(
  held: VerifiedRoot | VerifiedChain,
  wish: LeftWish,
  holder: SignerFacts,
  types: DetailTypes,
  before: readonly LeftOfChain[],
): LeftOfChain {
  const { root, signers } = held.revocable;
  if (root === null || root.consentVersion === null) throw new BehalfError('not_deferrable', { why: 'no user’s root' });
  const extra = wish.scope?.find((name) => !held.scope.includes(name));
  if (extra !== undefined) throw new BehalfError('delegation_scope_widened', { why: 'not left of the scope', extra });
  const from = held.parent.signingInputS256;
  const putOff = before.flatMap((chain) => (chain.from === from && chain.details !== null ? [chain.details] : []));
  const details =
    wish.details === ''
      ? (undivided(held.authorizationDetails, types) ?? held.authorizationDetails)
      : chooseDetails(wish.details, held.authorizationDetails ?? [], types, putOff);
  if (wish.uses > 1 && hasSpendable(details, types))
    throw new BehalfError('request_malformed', { member: 'uses', why: 'what can be spent is for one use' });
  return {
    from,
    scope: wish.scope ?? held.scope,
    details,
    next: nextOf(held.next),
    maxDepth: held.maxDepth,
    depth: held.depth,
    before: held.parent.workloads.slice(0, -1),
    acr: held.acr,
    root: { iat: root.iat, kid: root.kid, consentVersion: root.consentVersion },
    signers: [...signers, holder],
  };
}

/** What every one of the lists has. */
function nextOf(lists: readonly (readonly SpiffeId[])[]): readonly SpiffeId[] | null {
  const [first, ...others] = lists;
  return first === undefined ? null : first.filter((id) => others.every((list) => list.includes(id)));
}
