/** A snapshot made ready for deciding: Cedar parsed, routes in trees, edges indexed. Made once a snapshot, then read only. */
import { BUILT_IN_DETAIL_TYPES, type DetailTypes, detailTypesOf } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { tellsDetails } from '../model/base-schema.ts';
import { buildRouteTree, findRoute, type NamedRoute, type RouteTree } from '../routes/route-tree.ts';
import {
  CONTEXT_WAYS,
  type ContextWay,
  type PolicySnapshot,
  type SnapshotEdge,
  type SnapshotExit,
  type SnapshotRoute,
  type SnapshotService,
  type SnapshotWorkload,
} from '../snapshot/snapshot.ts';
import { type CedarProgram, compileCedar } from './cedar-program.ts';

export interface CompiledSnapshot {
  readonly snapshot: PolicySnapshot;
  readonly number: number;
  readonly validUntilS: number;
  readonly program: CedarProgram;
  readonly routes: ReadonlyMap<string, RouteTree>;
  /** By `<from> <to>`; SPIFFE IDs hold no space. */
  readonly edges: ReadonlyMap<string, SnapshotEdge>;
  /** By name. */
  readonly exits: ReadonlyMap<string, CompiledExit>;
  /** Services that have a route which demands something of its callers' links or roots (`route-demands.ts`). */
  readonly demanding: ReadonlySet<string>;
  /** All types of `authorization_details` that are registered: those of the format and those of the policy. */
  readonly detailTypes: DetailTypes;
  /** Whether the policies' schema has the types of details; one of an older build has not. */
  readonly tellsDetails: boolean;
}

export interface CompiledExit {
  readonly exit: SnapshotExit;
  readonly tree: RouteTree;
}

/** A route that was found, with the service whose it is. */
export interface MatchedRoute extends NamedRoute {
  readonly service: SpiffeId;
}

/**
 * Compiles a parsed snapshot.
 * @throws {BehalfError} `snapshot_invalid` for routes of one shape, and for Cedar that does not parse or validate
 */
export function compileSnapshot(snapshot: PolicySnapshot): CompiledSnapshot {
  const program = compileCedar(snapshot.cedar);
  const exits = Object.entries(snapshot.exits);
  if (exits.length > 0 && !program.hasExits)
    throw new BehalfError('snapshot_invalid', { at: 'cedar.schema', why: 'has no action `exit`' });
  return {
    snapshot,
    number: snapshot.number,
    validUntilS: snapshot.valid_until,
    program,
    routes: new Map(
      Object.entries(snapshot.services).map(([id, { routes }]) => [id, routeTreeOf(`services.${id}`, routes)]),
    ),
    exits: new Map(exits.map(([name, exit]) => [name, { exit, tree: routeTreeOf(`exits.${name}`, exit.routes) }])),
    edges: new Map(snapshot.edges.map((edge) => [`${edge.from} ${edge.to}`, edge])),
    demanding: new Set(Object.keys(snapshot.services).filter((id) => snapshot.services[id]?.routes.some(isDemanding))),
    detailTypes: detailTypesOf([...BUILT_IN_DETAIL_TYPES.values()], snapshot.detail_types),
    tellsDetails: tellsDetails(snapshot.cedar.schema),
  };
}

function routeTreeOf(at: string, routes: readonly SnapshotRoute[]): RouteTree {
  try {
    return buildRouteTree(routes);
  } catch (cause) {
    if (!(cause instanceof BehalfError)) throw cause;
    throw new BehalfError(cause.code, { at, ...cause.detail }, { cause });
  }
}

/** Whether a caller has to know the route before it can make a link for it. */
export function isDemanding({ bind, fresh }: SnapshotRoute): boolean {
  return bind !== 'none' || fresh;
}

/**
 * The route of a service that a method and a path without query belong to, or null where it has none.
 * @throws {BehalfError} `request_malformed` for a path that routers might read differently
 */
export function matchRoute(
  compiled: CompiledSnapshot,
  service: SpiffeId,
  method: string,
  path: string,
): MatchedRoute | null {
  const tree = compiled.routes.get(service);
  const found = tree === undefined ? null : findRoute(tree, method, path);
  return found === null ? null : { service, route: found.route, name: found.name };
}

/** The edge from one workload to another, or null where there is none. */
export function edgeOf(compiled: CompiledSnapshot, from: SpiffeId, to: SpiffeId): SnapshotEdge | null {
  return compiled.edges.get(`${from} ${to}`) ?? null;
}

export function serviceOf(compiled: CompiledSnapshot, id: SpiffeId): SnapshotService | null {
  return own(compiled.snapshot.services, id);
}

export function workloadOf(compiled: CompiledSnapshot, id: SpiffeId): SnapshotWorkload | null {
  return own(compiled.snapshot.workloads, id);
}

/** Scopes at most of roots that a workload may obtain for users, or null where it is no entry. */
export function entryCeilingOf(compiled: CompiledSnapshot, id: SpiffeId): readonly string[] | null {
  return workloadOf(compiled, id)?.entry_ceiling ?? null;
}

/** Scopes of calls on the workload's own authority over that edge, or null where it may not make any. */
export function ownScopesOf(compiled: CompiledSnapshot, from: SpiffeId, to: SpiffeId): readonly string[] | null {
  if (edgeOf(compiled, from, to) === null) return null;
  return workloadOf(compiled, from)?.own.find((own) => own.to === to)?.scopes ?? null;
}

/** What a link over the edge keeps of a scope (`narrow_to`). */
export function narrowOver(edge: SnapshotEdge, scopes: readonly string[]): readonly string[] {
  const { narrow_to } = edge;
  return narrow_to === null ? scopes : scopes.filter((scope) => narrow_to.includes(scope));
}

/** Whether an app may name its request in this way on that edge; what named none is not judged here. */
export function allowsContext(
  { snapshot }: CompiledSnapshot,
  edge: Pick<SnapshotEdge, 'min_context'>,
  way: ContextWay,
): boolean {
  const least = edge.min_context ?? snapshot.settings.min_context;
  return CONTEXT_WAYS.indexOf(way) <= CONTEXT_WAYS.indexOf(least);
}

function own<T>(record: { readonly [id: string]: T }, id: string): T | null {
  return Object.hasOwn(record, id) ? (record[id] ?? null) : null;
}
