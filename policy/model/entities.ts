/** Requests as Cedar sees them: entity UIDs, entities and the context of one call (`base-schema.ts` owns the types). */
import type { CedarValueJson, Context, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { SpiffeId } from '../../identity/index.ts';
import type { NamedRoute } from '../routes/route-tree.ts';
import type { SnapshotExit } from '../snapshot/snapshot.ts';
import { NAMESPACE } from './base-schema.ts';

/** What a delegation gives a decision. The same for roots, chains and central decisions. */
export interface DelegationFacts {
  readonly subject: string;
  /** Empty texts where the delegation has none. */
  readonly client: string;
  readonly consent: string;
  readonly purpose: string;
  /** What is left of the scope. */
  readonly scopes: readonly string[];
  /** From the entry workload to the peer. */
  readonly actors: readonly SpiffeId[];
  readonly depth: number;
  /** Whether the workload acts on its own authority. */
  readonly own: boolean;
  /** Types of the details that are left, each once; null where that is not known, and then not judged. */
  readonly details: readonly string[] | null;
}

/**
 * The member of the facts that is no well-formed Unicode, or null. JSON lets half a surrogate pair through; Cedar's reader
 * throws at it. Scopes, IDs and routes are ASCII by their parsers.
 */
export function illFormedFact(facts: DelegationFacts): string | null {
  for (const member of ['subject', 'client', 'consent', 'purpose'] as const) {
    if (!facts[member].isWellFormed()) return member;
  }
  if (facts.details?.every((type) => type.isWellFormed()) === false) return 'details';
  return null;
}

const uid = (type: string, id: string): TypeAndId => ({ type: `${NAMESPACE}::${type}`, id });

export const CALL_ACTION = uid('Action', 'call');

export const EXIT_ACTION = uid('Action', 'exit');

/** Actions that are the mesh's to ask for, never an app's. */
export const MODEL_ACTIONS: readonly string[] = ['call', 'exit'];

export function actionUid(name: string): TypeAndId {
  return uid('Action', name);
}

export function workloadUid(id: SpiffeId): TypeAndId {
  return uid('Workload', id);
}

export function serviceUid(id: SpiffeId): TypeAndId {
  return uid('Service', id);
}

/** The route as an entity within its service. */
export function routeEntity(service: SpiffeId, { route, name }: NamedRoute): EntityJson {
  return {
    uid: uid('Route', `${service} ${name}`),
    attrs: { method: route.method, template: route.template, operation: route.operation },
    parents: [serviceUid(service)],
  };
}

function exitUid(name: string): TypeAndId {
  return uid('Exit', name);
}

/** The route of a destination outside as an entity within its exit. */
export function exitRouteEntity(
  exit: string,
  { origin, token }: Pick<SnapshotExit, 'origin' | 'token'>,
  { route, name }: NamedRoute,
): EntityJson {
  const { method, template, operation } = route;
  return {
    uid: uid('ExitRoute', `${exit} ${name}`),
    attrs: { origin, audience: token?.audience ?? '', method, template, operation },
    parents: [exitUid(exit)],
  };
}

/** A resource of the app's own. `parents` holds its service where its type may stand in one. */
export function resourceEntity(
  type: string,
  id: string,
  attrs: Record<string, CedarValueJson>,
  parents: TypeAndId[],
): EntityJson {
  return { uid: uid(type, id), attrs, parents };
}

/** The context of one request; `peer` is the workload that mTLS proved. */
export function contextOf(
  facts: DelegationFacts,
  peer: SpiffeId,
  { tellsDetails }: { readonly tellsDetails: boolean },
): Context {
  return {
    subject: facts.subject,
    client: facts.client,
    consent: facts.consent,
    purpose: facts.purpose,
    scopes: [...facts.scopes],
    actors: facts.actors.map((actor) => ({ __entity: workloadUid(actor) })),
    depth: facts.depth,
    peer: { __entity: workloadUid(peer) },
    own: facts.own,
    ...(tellsDetails ? { details: [...(facts.details ?? [])] } : {}),
  };
}
