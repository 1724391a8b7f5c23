/**
 * Whether a workload may make one call to a destination outside the mesh. Nobody judges at the other end, so that the caller's
 * sidecar asks here, and the authority again before it makes a token for there. Pure, and in the order of `decideCall`: the
 * snapshot stands, the exit is this workload's, the route is known, the scopes cover it, Cedar permits (action `exit`).
 */
import type { SpiffeId } from '../../identity/index.ts';
import {
  contextOf,
  type DelegationFacts,
  EXIT_ACTION,
  exitRouteEntity,
  illFormedFact,
  workloadUid,
} from '../model/entities.ts';
import { findRoute, type NamedRoute, routeName } from '../routes/route-tree.ts';
import type { ExitToken, SnapshotExit } from '../snapshot/snapshot.ts';
import { evaluate } from './cedar-program.ts';
import type { CompiledSnapshot } from './compile.ts';
import { type Decision, decisionOf, deny, staleness } from './decide-call.ts';

export interface ExitRequest {
  readonly nowS: number;
  /** The workload that calls. */
  readonly caller: SpiffeId;
  /** Name of the exit. */
  readonly exit: string;
  /** What `matchExitRoute` gave. */
  readonly route: NamedRoute | null;
  readonly facts: DelegationFacts;
}

/** An exit by its name, where this workload may use it; null for all others alike. */
export function exitOf(compiled: CompiledSnapshot, caller: SpiffeId, name: string): SnapshotExit | null {
  const exit = compiled.exits.get(name)?.exit;
  return exit?.from.includes(caller) ? exit : null;
}

/**
 * The exit of this workload that an authority (`host[:port]`, lower case) means: one by its name, or the only one whose origin
 * has that host. Null where several have it: which of them was meant, and with what it may go out, nobody said.
 */
export function exitNamed(compiled: CompiledSnapshot, caller: SpiffeId, authority: string): string | null {
  const colon = authority.lastIndexOf(':');
  const host = colon < 0 ? authority : authority.slice(0, colon);
  if (exitOf(compiled, caller, host) !== null) return host;
  const meant: string[] = [];
  for (const [name, { exit }] of compiled.exits) {
    const origin = new URL(exit.origin);
    const isMeant = authority === origin.host || authority === origin.hostname;
    if (isMeant && exit.from.includes(caller)) meant.push(name);
  }
  return meant.length === 1 ? (meant[0] as string) : null;
}

/**
 * The route of an exit that a method and a path without query belong to, or null.
 * @throws {BehalfError} `request_malformed` for a path that routers might read differently
 */
export function matchExitRoute(
  compiled: CompiledSnapshot,
  exit: string,
  method: string,
  path: string,
): NamedRoute | null {
  const tree = compiled.exits.get(exit)?.tree;
  return tree === undefined ? null : findRoute(tree, method, path);
}

/** Decides one call. Never throws: what cannot be judged is denied. */
export function decideExit(
  compiled: CompiledSnapshot | null,
  { nowS, caller, exit: name, route, facts }: ExitRequest,
): Decision {
  const stale = staleness(compiled, nowS);
  if (compiled === null || stale !== null) return stale ?? deny('snapshot_stale');
  const exit = exitOf(compiled, caller, name);
  if (exit === null) return deny('policy_denied', { why: 'no exit', from: caller, exit: name });
  if (facts.own && exit.own === null)
    return deny('policy_denied', { why: 'the exit is not for own calls', exit: name });
  if (route === null) return deny('route_unknown', { exit: name });
  const missing = route.route.scopes.filter((scope) => !facts.scopes.includes(scope));
  if (missing.length > 0) return deny('insufficient_scope', { exit: name, route: route.name, missing });
  const lacking = route.route.details.filter((type) => facts.details?.includes(type) === false);
  if (lacking.length > 0) return deny('insufficient_scope', { exit: name, route: route.name, details: lacking });
  const illFormed = illFormedFact(facts);
  if (illFormed !== null) return deny('request_malformed', { member: illFormed, why: 'not well-formed Unicode' });
  const entity = exitRouteEntity(name, exit, route);
  const question = {
    principal: workloadUid(caller),
    action: EXIT_ACTION,
    resource: entity.uid,
    context: contextOf(facts, caller, compiled),
    entities: [entity],
  };
  return decisionOf(evaluate(compiled.program, question, { checked: false }), { exit: name, route: route.name });
}

/** The exit of this workload whose tokens are for an audience; null where there is none. */
export function exitOfAudience(
  compiled: CompiledSnapshot,
  caller: SpiffeId,
  audience: string,
): { readonly name: string; readonly exit: SnapshotExit; readonly token: ExitToken } | null {
  for (const [name, { exit }] of compiled.exits) {
    const { token } = exit;
    if (token?.audience === audience) return exit.from.includes(caller) ? { name, exit, token } : null;
  }
  return null;
}

/**
 * Whether a token for an exit may be made at all: some route of it has to be open to this delegation. Which one is called, the
 * caller's sidecar judges for each call; here it is known of nobody but the caller.
 */
export function decideExitToken(compiled: CompiledSnapshot, request: Omit<ExitRequest, 'route'>): Decision {
  const routes = compiled.exits.get(request.exit)?.exit.routes ?? [];
  let last: Decision | null = null;
  for (const route of routes) {
    const decision = decideExit(compiled, { ...request, route: { route, name: routeName(route) } });
    if (decision.kind === 'allow') return decision;
    last = decision;
  }
  return last ?? decideExit(compiled, { ...request, route: null });
}
