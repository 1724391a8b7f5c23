/** A decision with what it rests on, for people: policies with owner and reason, scopes needed and missing, the edge. Pure. */
import { policyToJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { SpiffeId } from '../../identity/index.ts';
import type { SnapshotEdge, SnapshotService, SnapshotWorkload } from '../snapshot/snapshot.ts';
import { type CompiledSnapshot, edgeOf, type MatchedRoute, serviceOf, workloadOf } from './compile.ts';
import { type CallRequest, type Decision, decideCall } from './decide-call.ts';

export interface PolicyDescription {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  /** From `@owner("…")` and `@reason("…")`; empty without. */
  readonly owner: string;
  readonly reason: string;
  /** Cedar, as the snapshot has it. */
  readonly text: string;
}

export interface CallExplanation {
  readonly decision: Decision;
  /** Those that decided. */
  readonly policies: readonly PolicyDescription[];
  readonly needed: readonly string[];
  readonly missing: readonly string[];
  readonly edge: SnapshotEdge | null;
  readonly service: SnapshotService | null;
  readonly caller: SnapshotWorkload | null;
}

/** Decides as `decideCall` does and says on what. Never throws. */
export function explainCall(compiled: CompiledSnapshot, request: CallRequest): CallExplanation {
  const { caller, service, route, facts } = request;
  const decision = decideCall(compiled, request);
  const needed = route?.route.scopes ?? [];
  return {
    decision,
    policies: decision.policies.flatMap((id) => describePolicy(compiled, id)),
    needed,
    missing: needed.filter((scope) => !facts.scopes.includes(scope)),
    edge: edgeOf(compiled, caller, service),
    service: serviceOf(compiled, service),
    caller: workloadOf(compiled, caller),
  };
}

/** The route of a service by its name in events, `<METHOD> <template>`; null where the snapshot has none of that name. */
export function routeNamed(compiled: CompiledSnapshot, service: SpiffeId, name: string): MatchedRoute | null {
  const route = serviceOf(compiled, service)?.routes.find(({ method, template }) => `${method} ${template}` === name);
  return route === undefined ? null : { service, route, name };
}

function describePolicy({ snapshot }: CompiledSnapshot, id: string): PolicyDescription[] {
  const { policies } = snapshot.cedar;
  const text = Object.hasOwn(policies, id) ? policies[id] : undefined;
  if (text === undefined) return [];
  const parsed = policyToJson(text);
  if (parsed.type === 'failure') return []; // it was compiled, so it parses
  const { effect, annotations } = parsed.json;
  return [{ id, effect, owner: annotations?.['owner'] ?? '', reason: annotations?.['reason'] ?? '', text }];
}
