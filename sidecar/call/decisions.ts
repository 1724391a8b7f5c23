/**
 * Decisions remembered: `decideCall` is a pure function of the snapshot and of the facts in `decisionKey`, so that the same facts need
 * not be asked twice. A new snapshot forgets all. Bounded; the oldest goes first.
 */
import type { Delegation } from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import {
  type CompiledSnapshot,
  type Decision,
  decideCall,
  decisionKey,
  factsOfDelegation,
  type MatchedRoute,
  NO_DELEGATION,
} from '../../policy/index.ts';

const MAX_DECISIONS = 8_192;

export interface DecisionCache {
  decide(compiled: CompiledSnapshot, call: DecisionInput): Decision;
}

export interface DecisionInput {
  readonly nowS: number;
  readonly caller: SpiffeId;
  readonly service: SpiffeId;
  readonly route: MatchedRoute | null;
  /** Null where a request came in with no credential. */
  readonly delegation: Delegation | null;
}

export function createDecisionCache(): DecisionCache {
  let known = new Map<string, Decision>();
  let madeFor: CompiledSnapshot | null = null;
  return {
    decide(compiled, { nowS, caller, service, route, delegation }) {
      const facts = delegation === null ? NO_DELEGATION : factsOfDelegation(delegation);
      // The one fact that is not in the key: a snapshot ends. Past its end nothing is looked up.
      if (route === null || nowS > compiled.validUntilS)
        return decideCall(compiled, { nowS, caller, service, route, facts });
      if (madeFor !== compiled) {
        known = new Map();
        madeFor = compiled;
      }
      const key = route.service === service ? decisionKey(compiled, caller, route, facts) : null;
      const before = key === null ? undefined : known.get(key);
      if (before !== undefined) return before;
      const decision = decideCall(compiled, { nowS, caller, service, route, facts });
      if (key === null) return decision;
      if (known.size >= MAX_DECISIONS) known.delete(known.keys().next().value as string);
      known.set(key, decision);
      return decision;
    },
  };
}
