/**
 * Whether a workload may make one call: the same pure function in every sidecar, in the collector and in tests (DESIGN
 * section 6). In this order: the snapshot stands, the edge exists, the route is known, there is a delegation or the route is public, the scopes
 * cover it, Cedar permits.
 * Signatures, times and revocations were judged before (WIRE.md section 3); this is its step 9.
 */
import type { ErrorCode, ErrorDetail } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import {
  CALL_ACTION,
  contextOf,
  type DelegationFacts,
  illFormedFact,
  routeEntity,
  workloadUid,
} from '../model/entities.ts';
import { type Evaluation, evaluate } from './cedar-program.ts';
import { type CompiledSnapshot, edgeOf, entryCeilingOf, type MatchedRoute } from './compile.ts';

/** A deny is a normal answer, so it is a value. */
export interface Decision {
  readonly kind: 'allow' | 'deny';
  /** Null when allowed. */
  readonly code: ErrorCode | null;
  /** Ids of the policies that decided; empty where none matched or the question came not so far. */
  readonly policies: readonly string[];
  /** Facts for the one who reads the refusal; no secret. */
  readonly detail: ErrorDetail;
}

export interface CallRequest {
  readonly nowS: number;
  /**
   * The workload that mTLS proved. Where a user's request enters there is none: the entry workload itself, as it is the one
   * that acts; it then must be registered as an entry instead of having an edge.
   */
  readonly caller: SpiffeId;
  readonly service: SpiffeId;
  /** What `matchRoute` gave. */
  readonly route: MatchedRoute | null;
  readonly facts: DelegationFacts;
}

/** Decides one call. Never throws: what cannot be judged is denied. */
export function decideCall(compiled: CompiledSnapshot | null, request: CallRequest): Decision {
  const { nowS, caller, service, route, facts } = request;
  const stale = staleness(compiled, nowS);
  if (compiled === null || stale !== null) return stale ?? deny('snapshot_stale');
  if (!mayReach(compiled, request)) return deny('policy_denied', { why: 'no edge', from: caller, to: service });
  if (route === null || route.service !== service) return deny('route_unknown', { service });
  if (facts.subject === '' && !(caller === service && route.route.public === true))
    return deny('delegation_missing', { route: route.name });
  const missing = route.route.scopes.filter((scope) => !facts.scopes.includes(scope));
  if (missing.length > 0) return deny('insufficient_scope', { route: route.name, missing });
  const lacking = route.route.details.filter((type) => facts.details?.includes(type) === false);
  if (lacking.length > 0) return deny('insufficient_scope', { route: route.name, details: lacking });
  const illFormed = illFormedFact(facts);
  if (illFormed !== null) return deny('request_malformed', { member: illFormed, why: 'not well-formed Unicode' });
  const entity = routeEntity(service, route);
  return decisionOf(
    evaluate(
      compiled.program,
      {
        principal: workloadUid(caller),
        action: CALL_ACTION,
        resource: entity.uid,
        context: contextOf(facts, caller, compiled),
        entities: [entity],
      },
      { checked: false },
    ),
    { route: route.name },
  );
}

/** A denial where there is no snapshot or it is past its end; null where it stands. */
export function staleness(compiled: CompiledSnapshot | null, nowS: number): Decision | null {
  if (compiled === null) return deny('snapshot_stale', { why: 'no snapshot' });
  if (nowS <= compiled.validUntilS) return null;
  return deny('snapshot_stale', { snapshot: compiled.number, validUntil: compiled.validUntilS });
}

/** Cedar's answer as a decision; an evaluation error is a denial. */
export function decisionOf(evaluation: Evaluation, detail: ErrorDetail): Decision {
  switch (evaluation.kind) {
    case 'allow':
      return { kind: 'allow', code: null, policies: evaluation.policies, detail: {} };
    case 'deny':
      return deny('policy_denied', detail, evaluation.policies);
    case 'error':
      return deny('policy_denied', { ...detail, why: evaluation.why.slice(0, 300) }, evaluation.policies);
    default:
      return evaluation satisfies never;
  }
}

export function deny(code: ErrorCode, detail: ErrorDetail = {}, policies: readonly string[] = []): Decision {
  return { kind: 'deny', code, policies, detail };
}

/** Over an edge; or into its own service where a user's request enters, whose root has no link yet. */
function mayReach(compiled: CompiledSnapshot, { caller, service, facts }: CallRequest): boolean {
  if (edgeOf(compiled, caller, service) !== null) return true;
  return caller === service && facts.depth === 0 && entryCeilingOf(compiled, caller) !== null;
}
