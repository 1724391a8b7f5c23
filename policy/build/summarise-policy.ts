/** What is in a policy, for whoever wrote it, and what it says in vain: scopes that no route needs, edges that nothing permits. */
import {
  type ActionConstraint,
  type EntityUidJson,
  type PolicyJson,
  type PrincipalConstraint,
  policyToJson,
  type ResourceConstraint,
  type TypeAndId,
} from '@cedar-policy/cedar-wasm/nodejs';
import { parseSpiffeId } from '../../identity/index.ts';
import { NAMESPACE } from '../model/base-schema.ts';
import { CALL_ACTION, serviceUid, workloadUid } from '../model/entities.ts';
import type { PolicySnapshot, SnapshotEdge } from '../snapshot/snapshot.ts';

export interface PolicySummary {
  readonly trustDomain: string;
  readonly services: readonly {
    readonly name: string;
    readonly id: string;
    readonly protocol: 'http' | 'grpc';
    readonly routes: number;
  }[];
  readonly workloads: readonly { readonly name: string; readonly id: string; readonly isEntry: boolean }[];
  /** By name. */
  readonly edges: readonly SummaryEdge[];
  readonly scopes: readonly string[];
  /** Ids of the Cedar policies. */
  readonly policies: readonly string[];
  /** Scopes of the catalogue that no route needs or passes on, no exit tells, and no workload's own calls carry. */
  readonly unusedScopes: readonly string[];
  /** Edges that no `permit` can ever allow, whatever is asked, as their heads fit none. */
  readonly deadEdges: readonly SummaryEdge[];
}

export interface SummaryEdge {
  readonly from: string;
  readonly to: string;
}

/** Summarises a snapshot that was built. Conditions of policies are not looked into. */
export function summarisePolicy(snapshot: PolicySnapshot): PolicySummary {
  const { services, workloads, edges, exits, cedar } = snapshot;
  const nameOf = (id: string): string => (services[id] ?? workloads[id])?.name ?? id;
  const named = ({ from, to }: SnapshotEdge): SummaryEdge => ({ from: nameOf(from), to: nameOf(to) });
  const permits = Object.values(cedar.policies).flatMap(permitOf);
  const used = new Set([
    ...Object.values(services).flatMap(({ routes }) => routes.flatMap(({ scopes, passes }) => [...scopes, ...passes])),
    ...Object.values(exits).flatMap(({ routes, token }) => [
      ...routes.flatMap(({ scopes }) => scopes),
      ...Object.keys(token?.scopes ?? {}),
    ]),
    ...Object.values(workloads).flatMap(({ own }) => own.flatMap(({ scopes }) => scopes)),
  ]);
  return {
    trustDomain: snapshot.trust_domain,
    services: Object.entries(services).map(([id, { name, protocol, routes }]) => ({
      name,
      id,
      protocol,
      routes: routes.length,
    })),
    workloads: Object.entries(workloads).map(([id, { name, entry_ceiling }]) => ({
      name,
      id,
      isEntry: entry_ceiling !== null,
    })),
    edges: edges.map(named),
    scopes: Object.keys(snapshot.scopes),
    policies: Object.keys(cedar.policies),
    unusedScopes: Object.keys(snapshot.scopes).filter((scope) => !used.has(scope)),
    deadEdges: edges.filter((edge) => !permits.some((permit) => mayFit(permit, edge))).map(named),
  };
}

function permitOf(text: string): PolicyJson[] {
  const parsed = policyToJson(text);
  return parsed.type === 'success' && parsed.json.effect === 'permit' ? [parsed.json] : [];
}

/** Whether the head of a policy lets any call over the edge through. */
function mayFit({ principal, action, resource }: PolicyJson, { from, to }: SnapshotEdge): boolean {
  return fitsCaller(principal, from) && fitsCall(action) && fitsService(resource, to);
}

function fitsCaller(constraint: PrincipalConstraint, caller: string): boolean {
  const self = workloadUid(parseSpiffeId(caller));
  return fits(constraint, `${NAMESPACE}::Workload`, (uid) => isSame(uid, self));
}

/** By the route itself, or the service that it is in. */
function fitsService(constraint: ResourceConstraint, service: string): boolean {
  const type = `${NAMESPACE}::Route`;
  const self = serviceUid(parseSpiffeId(service));
  return fits(constraint, type, (uid) =>
    uid.type === type ? uid.id.startsWith(`${service} `) : constraint.op !== '==' && isSame(uid, self),
  );
}

/** INVARIANT: `call` stands in no group of actions, as the model declares it. */
function fitsCall(constraint: ActionConstraint): boolean {
  if (constraint.op === 'All') return true;
  const named = 'entities' in constraint ? constraint.entities : 'entity' in constraint ? [constraint.entity] : [];
  return named.some((uid) => isSame(plain(uid), CALL_ACTION));
}

function fits(
  constraint: PrincipalConstraint | ResourceConstraint,
  type: string,
  matches: (uid: TypeAndId) => boolean,
): boolean {
  switch (constraint.op) {
    case 'All':
      return true;
    case '==':
    case 'in':
      return 'entity' in constraint && matches(plain(constraint.entity));
    case 'is': {
      if (constraint.entity_type !== type) return false;
      return constraint.in === undefined || ('entity' in constraint.in && matches(plain(constraint.in.entity)));
    }
    default:
      return constraint satisfies never;
  }
}

function plain(uid: EntityUidJson): TypeAndId {
  return '__entity' in uid ? uid.__entity : uid;
}

function isSame(one: TypeAndId, other: TypeAndId): boolean {
  return one.type === other.type && one.id === other.id;
}
