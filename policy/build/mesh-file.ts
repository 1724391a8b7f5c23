/**
 * `mesh.yaml`, what an operator writes by hand: services, workloads, edges, scopes and settings. Names stand for SPIFFE IDs
 * (`spiffe://<trustDomain>/<name>` unless `id` says otherwise). This file owns its shape and its strict reading;
 * `build-snapshot.ts` makes the snapshot of it.
 *
 *     trustDomain: shop.example
 *     scopes:
 *       orders:read: { title: Read orders, description: See your orders and their state }
 *     services:
 *       orders: { owner: team-orders, reason: order book, openapi: orders.openapi.yaml, endpoints: ["127.0.0.1:9443"] }
 *     workloads:
 *       storefront: { owner: team-web, reason: web shop, entry: { ceiling: ["orders:read"] } }
 *     edges:
 *       - { from: storefront, to: orders, narrowTo: ["orders:read"], maxDepth: 3, next: [payments], minContext: context }
 *     exits:
 *       bank: { owner: team-payments, reason: card payments, origin: "https://api.bank.example", from: [payments] }
 *     settings: { minContext: baggage, rootReuseS: 30, maxStalenessS: { authority: 30, ca: 300 }, streamMaxAgeS: 3600, validForS: 2592000 }
 */
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../identity/index.ts';
import { readPublic } from '../routes/public-route.ts';
import { readDetailNames, readScopes } from '../routes/scopes.ts';
import { atPlace, readEndpoint, readMethod, readTokenIssuers } from '../snapshot/parse-snapshot.ts';
import {
  invalid,
  join,
  readBoolean,
  readChoice,
  readInteger,
  readList,
  readMap,
  readObject,
  readText,
} from '../snapshot/read-json.ts';
import {
  CONTEXT_WAYS,
  type ContextWay,
  ROUTE_BINDINGS,
  type SnapshotRoute,
  type SnapshotSettings,
} from '../snapshot/snapshot.ts';
import { type MeshExit, readMeshExit } from './mesh-exits.ts';
import type { RouteSource } from './route-source.ts';
import { type FilePlace, inFile, readYamlFile } from './yaml-file.ts';

export const MESH_FILE = 'mesh.yaml';

export interface MeshService {
  readonly id: SpiffeId;
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
  readonly protocol: 'http' | 'grpc';
  readonly routes: RouteSource;
  readonly endpoints: readonly string[];
}

export interface MeshWorkload {
  readonly id: SpiffeId;
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
  readonly entryCeiling: readonly string[] | null;
  /** `to` is a name or a SPIFFE ID, as in edges. */
  readonly own: readonly { readonly to: string; readonly scopes: readonly string[] }[];
  readonly deferrable?: boolean;
}

export interface MeshFile {
  readonly trustDomain: TrustDomain;
  readonly scopes: unknown;
  /** Types of details to register, as the snapshot has them. */
  readonly detailTypes: unknown;
  readonly services: readonly MeshService[];
  readonly workloads: readonly MeshWorkload[];
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly narrowTo: readonly string[] | null;
    readonly maxDepth: number | null;
    /** Names or SPIFFE IDs. */
    readonly next: readonly string[] | null;
    readonly minContext: ContextWay | null;
  }[];
  readonly exits: readonly MeshExit[];
  readonly tokenIssuers: readonly string[];
  readonly settings: SnapshotSettings;
  /** How long a snapshot made now stands, in seconds. */
  readonly validForS: number;
  /** For refusals of what parses and yet does not fit. */
  readonly place: FilePlace;
}

export const DEFAULT_SETTINGS: SnapshotSettings = {
  root_reuse_s: 30,
  max_staleness_s: { authority: 30, ca: 300 },
  stream_max_age_s: 3_600,
  min_context: 'trace',
};
const DEFAULT_VALID_FOR_S = 30 * 24 * 3_600;
const MAX_VALID_FOR_S = 366 * 24 * 3_600;
/** As `parseSnapshot` checks again. */
const MAX_DEPTH = 16;
const MAX_ID_LENGTH = 255;
const NAME = /^[A-Za-z0-9._-]{1,63}$/;

/**
 * Reads the text of `mesh.yaml`.
 * @throws {BehalfError} `snapshot_invalid`, with the line, and the place in the document unless YAML itself is broken
 */
export function parseMeshFile(text: string): MeshFile {
  const { value, place } = readYamlFile(text, MESH_FILE);
  return inFile(place, () => ({ ...readMesh(value), place }));
}

function readMesh(value: unknown): Omit<MeshFile, 'place'> {
  const object = readObject(
    value,
    '',
    ['trustDomain', 'scopes', 'services', 'edges'],
    ['workloads', 'exits', 'settings', 'detailTypes', 'tokenIssuers'],
  );
  const trustDomain = atPlace('trustDomain', () => parseTrustDomain(object.trustDomain));
  return {
    trustDomain,
    scopes: object.scopes,
    detailTypes: object.detailTypes ?? [],
    services: readMap(object.services, 'services').map(([name, value]) =>
      readService(name, value, join('services', name), trustDomain),
    ),
    workloads: readMap(object.workloads ?? {}, 'workloads').map(([name, value]) =>
      readWorkload(name, value, join('workloads', name), trustDomain),
    ),
    edges: readList(object.edges, 'edges', (value, at) => {
      const edge = readObject(value, at, ['from', 'to'], ['narrowTo', 'maxDepth', 'next', 'minContext']);
      return {
        from: readText(edge.from, join(at, 'from')),
        to: readText(edge.to, join(at, 'to')),
        narrowTo: edge.narrowTo === undefined ? null : readScopes(edge.narrowTo, join(at, 'narrowTo')),
        maxDepth: edge.maxDepth === undefined ? null : readInteger(edge.maxDepth, join(at, 'maxDepth'), 1, MAX_DEPTH),
        next:
          edge.next === undefined
            ? null
            : readList(edge.next, join(at, 'next'), (name, place) => readText(name, place, MAX_ID_LENGTH)),
        minContext:
          edge.minContext === undefined ? null : readChoice(edge.minContext, join(at, 'minContext'), CONTEXT_WAYS),
      };
    }),
    exits: readMap(object.exits ?? {}, 'exits').map(([name, value]) =>
      readMeshExit(name, value, join('exits', name), { trustDomain, readRoutes: readRouteSource }),
    ),
    tokenIssuers: readTokenIssuers(object.tokenIssuers ?? [], 'tokenIssuers'),
    ...readSettings(object.settings ?? {}),
  };
}

function readService(name: string, value: unknown, at: string, trustDomain: TrustDomain): MeshService {
  const object = readObject(
    value,
    at,
    ['owner', 'reason'],
    ['id', 'protocol', 'openapi', 'proto', 'routes', 'endpoints'],
  );
  const routes = readRouteSource(object, at);
  return {
    id: idOf(name, object.id, at, trustDomain),
    name: readName(name, at),
    owner: readText(object.owner, join(at, 'owner')),
    reason: readText(object.reason, join(at, 'reason')),
    protocol:
      object.protocol === undefined
        ? routes.kind === 'proto'
          ? 'grpc'
          : 'http'
        : readChoice(object.protocol, join(at, 'protocol'), ['http', 'grpc']),
    routes,
    endpoints: readList(object.endpoints ?? [], join(at, 'endpoints'), readEndpoint),
  };
}

function readRouteSource(
  { openapi, proto, routes }: { readonly openapi?: unknown; readonly proto?: unknown; readonly routes?: unknown },
  at: string,
): RouteSource {
  const given = [openapi, proto, routes].filter((source) => source !== undefined);
  if (given.length !== 1) throw invalid(at, 'needs exactly one of openapi, proto, routes');
  if (openapi !== undefined) return { kind: 'openapi', file: readText(openapi, join(at, 'openapi')) };
  if (proto !== undefined) return { kind: 'proto', file: readText(proto, join(at, 'proto')) };
  return { kind: 'routes', routes: readList(routes, join(at, 'routes'), readMeshRoute) };
}

function readMeshRoute(value: unknown, at: string): SnapshotRoute {
  const object = readObject(
    value,
    at,
    ['method', 'path', 'scopes'],
    ['operation', 'passes', 'fresh', 'bind', 'details', 'public'],
  );
  const method = readMethod(object.method, join(at, 'method'));
  const template = readText(object.path, join(at, 'path'));
  return {
    method,
    template,
    operation:
      object.operation === undefined ? `${method} ${template}` : readText(object.operation, join(at, 'operation')),
    scopes: readScopes(object.scopes, join(at, 'scopes')),
    passes: readScopes(object.passes ?? [], join(at, 'passes')),
    fresh: object.fresh === undefined ? false : readBoolean(object.fresh, join(at, 'fresh')),
    bind: object.bind === undefined ? 'none' : readChoice(object.bind, join(at, 'bind'), ROUTE_BINDINGS),
    details: readDetailNames(object.details ?? [], join(at, 'details')),
    ...readPublic(object.public, object.scopes, at),
  };
}

function readWorkload(name: string, value: unknown, at: string, trustDomain: TrustDomain): MeshWorkload {
  const object = readObject(value, at, ['owner', 'reason'], ['id', 'entry', 'own', 'deferrable']);
  return {
    id: idOf(name, object.id, at, trustDomain),
    name: readName(name, at),
    owner: readText(object.owner, join(at, 'owner')),
    reason: readText(object.reason, join(at, 'reason')),
    entryCeiling: object.entry === undefined ? null : readCeiling(object.entry, join(at, 'entry')),
    own: readList(object.own ?? [], join(at, 'own'), (own, place) => {
      const { to, scopes } = readObject(own, place, ['to', 'scopes']);
      return { to: readText(to, join(place, 'to')), scopes: readScopes(scopes, join(place, 'scopes')) };
    }),
    ...(object.deferrable === undefined ? {} : { deferrable: readBoolean(object.deferrable, join(at, 'deferrable')) }),
  };
}

function readCeiling(value: unknown, at: string): readonly string[] {
  return readScopes(readObject(value, at, ['ceiling']).ceiling, join(at, 'ceiling'));
}

function readSettings(value: unknown): { settings: SnapshotSettings; validForS: number } {
  const at = 'settings';
  const object = readObject(value, at, [], ['minContext', 'rootReuseS', 'maxStalenessS', 'streamMaxAgeS', 'validForS']);
  const staleness = readObject(object.maxStalenessS ?? {}, join(at, 'maxStalenessS'), [], ['authority', 'ca']);
  const numberOr = (given: unknown, place: string, fallback: number): number =>
    given === undefined ? fallback : readInteger(given, join(at, place), 0, MAX_VALID_FOR_S);
  const { root_reuse_s, max_staleness_s, stream_max_age_s, min_context } = DEFAULT_SETTINGS;
  return {
    settings: {
      root_reuse_s: numberOr(object.rootReuseS, 'rootReuseS', root_reuse_s),
      max_staleness_s: {
        authority: numberOr(staleness.authority, 'maxStalenessS.authority', max_staleness_s.authority),
        ca: numberOr(staleness.ca, 'maxStalenessS.ca', max_staleness_s.ca),
      },
      stream_max_age_s: numberOr(object.streamMaxAgeS, 'streamMaxAgeS', stream_max_age_s),
      min_context:
        object.minContext === undefined
          ? min_context
          : readChoice(object.minContext, join(at, 'minContext'), CONTEXT_WAYS),
    },
    validForS: numberOr(object.validForS, 'validForS', DEFAULT_VALID_FOR_S),
  };
}

function readName(name: string, at: string): string {
  if (!NAME.test(name)) throw invalid(at, 'not a name of a-z A-Z 0-9 . _ -');
  return name;
}

function idOf(name: string, given: unknown, at: string, trustDomain: TrustDomain): SpiffeId {
  return atPlace(join(at, 'id'), () => parseSpiffeId(given ?? `spiffe://${trustDomain}/${name}`));
}
