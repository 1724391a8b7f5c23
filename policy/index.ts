/** Decisions: the policy model, route maps, snapshots and the decision function. Pure: no I/O, no clock. */
export { buildSnapshot, type PolicySource } from './build/build-snapshot.ts';
export { DEFAULT_SETTINGS, MESH_FILE as POLICY_MESH_FILE } from './build/mesh-file.ts';
export { type PolicySummary, type SummaryEdge, summarisePolicy } from './build/summarise-policy.ts';
export {
  allowsContext,
  type CompiledSnapshot,
  compileSnapshot,
  edgeOf,
  entryCeilingOf,
  type MatchedRoute,
  matchRoute,
  narrowOver,
  ownScopesOf,
  serviceOf,
} from './decide/compile.ts';
export { type CallRequest, type Decision, decideCall } from './decide/decide-call.ts';
export {
  decideExit,
  decideExitToken,
  type ExitRequest,
  exitNamed,
  exitOf,
  exitOfAudience,
  matchExitRoute,
} from './decide/decide-exit.ts';
export { type AppResource, decideResource, type ResourceRequest } from './decide/decide-resource.ts';
export { decisionKey } from './decide/decision-key.ts';
export { type CallExplanation, explainCall, type PolicyDescription, routeNamed } from './decide/explain-call.ts';
export { demandsOfCall, demandsOfRoute, type RouteDemands } from './decide/route-demands.ts';
export type { DelegationFacts } from './model/entities.ts';
export { factsOfDelegation, factsOfOwn, NO_DELEGATION } from './model/facts-of-delegation.ts';
export { isScopeToken } from './model/scope-token.ts';
export { parseSnapshot } from './snapshot/parse-snapshot.ts';
export { signSnapshot, verifySnapshot } from './snapshot/sign-snapshot.ts';
export type {
  ContextWay,
  PolicySnapshot,
  RouteBinding,
  ScopeName,
  SnapshotEdge,
  SnapshotExit,
  SnapshotRoute,
  SnapshotService,
  SnapshotSettings,
  SnapshotWorkload,
} from './snapshot/snapshot.ts';
