/** When two calls are decided alike: for caches of what `decideCall` gave. */
import type { SpiffeId } from '../../identity/index.ts';
import { type DelegationFacts, illFormedFact } from '../model/entities.ts';
import type { CompiledSnapshot, MatchedRoute } from './compile.ts';

/**
 * The same text for two calls that this snapshot decides alike while it is valid, or null for a call that is to be decided by
 * itself. Of the facts that Cedar alone reads it has those that some policy asks for: mostly not who the user is, so that every
 * user's calls share one decision.
 *
 * INVARIANT: every fact that `decideCall` reads stands in it. Caller, route (and so the service), depth, scopes, `own` and whether
 * there is a delegation at all always, the types of details where the route demands some.
 */
export function decisionKey(
  { program: { asked } }: CompiledSnapshot,
  caller: SpiffeId,
  route: MatchedRoute,
  facts: DelegationFacts,
): string | null {
  if (illFormedFact(facts) !== null) return null;
  const { subject, client, consent, purpose, scopes, actors, depth, own, details } = facts;
  const is = (name: string): boolean => asked === 'all' || asked.has(name);
  return JSON.stringify([
    caller,
    route.service,
    route.name,
    depth,
    own,
    subject === '',
    scopes,
    is('subject') ? subject : 0,
    is('client') ? client : 0,
    is('consent') ? consent : 0,
    is('purpose') ? purpose : 0,
    is('actors') ? actors : 0,
    is('details') || route.route.details.length > 0 ? details : 0,
  ]);
}
