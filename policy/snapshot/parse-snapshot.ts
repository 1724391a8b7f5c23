/**
 * Strict reading of the policy snapshot (`snapshot.ts` owns its shape): unknown members, scopes outside the catalogue, IDs of
 * another trust domain and edges to nowhere are refused. Cedar text is judged by `compileSnapshot`, which parses it.
 */

import { BUILT_IN_DETAIL_TYPES, type DetailType, parseDetailType } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { isReservedPath, parseSpiffeId, parseTrustDomain, type SpiffeId, trustDomainOf } from '../../identity/index.ts';
import { isScopeToken } from '../model/scope-token.ts';
import { readPublic } from '../routes/public-route.ts';
import { readDetailNames, readScopes } from '../routes/scopes.ts';
import { MAX_TEMPLATE_LENGTH, parseTemplate } from '../routes/template.ts';
import { checkExits, readExits } from './parse-exits.ts';
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
} from './read-json.ts';
import {
  CONTEXT_WAYS,
  type PolicySnapshot,
  ROUTE_BINDINGS,
  type SnapshotEdge,
  type SnapshotRoute,
  type SnapshotService,
  type SnapshotSettings,
  type SnapshotWorkload,
} from './snapshot.ts';

/** Largest snapshot as JSON; below what one gRPC message takes (4 MiB). */
export const MAX_SNAPSHOT_BYTES = 3 * 1_024 * 1_024;

const MAX_CEDAR_LENGTH = 1_024 * 1_024;
const MAX_TOKEN_ISSUERS = 64;
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
/** As deep as any chain can be, without and with work that was deferred before it. */
const MAX_DEPTH = 16;
/** Characters of an edge's `next` in all: a link that carries it stays below its limit of 1,536 (WIRE.md section 2). */
const MAX_NEXT_LENGTH = 512;
const MAX_DETAIL_TYPES = 32;

/**
 * Takes a snapshot from parsed JSON.
 * @throws {BehalfError} `snapshot_invalid`, with the place of the first defect
 */
export function parseSnapshot(json: unknown): PolicySnapshot {
  const object = readObject(
    json,
    '',
    [
      'version',
      'number',
      'trust_domain',
      'issued_at',
      'valid_until',
      'scopes',
      'services',
      'workloads',
      'edges',
      'cedar',
      'settings',
    ],
    // Absent in snapshots that were signed before there were such members.
    ['exits', 'detail_types', 'token_issuers'],
  );
  if (object.version !== 1) throw invalid('version', 'not 1');
  const trustDomain = atPlace('trust_domain', () => parseTrustDomain(object.trust_domain));
  const issuedAt = readInteger(object.issued_at, 'issued_at', 0, MAX_NUMBER);
  const snapshot: PolicySnapshot = {
    version: 1,
    number: readInteger(object.number, 'number', 1, MAX_NUMBER),
    trust_domain: trustDomain,
    issued_at: issuedAt,
    valid_until: readInteger(object.valid_until, 'valid_until', issuedAt + 1, MAX_NUMBER),
    scopes: readCatalogue(object.scopes),
    detail_types: readDetailTypes(object.detail_types ?? []),
    services: readById(object.services, 'services', trustDomain, readService),
    workloads: readById(object.workloads, 'workloads', trustDomain, readWorkload),
    edges: readList(object.edges, 'edges', readEdge),
    // Absent in snapshots that were signed before there were exits.
    exits: readExits(object.exits ?? {}, { id: readId, route: readRoute }),
    token_issuers: readTokenIssuers(object.token_issuers ?? [], 'token_issuers'),
    cedar: readCedar(object.cedar),
    settings: readSettings(object.settings),
  };
  checkReferences(snapshot);
  return snapshot;
}

/** What stands in the document must fit together. */
function checkReferences(snapshot: PolicySnapshot): void {
  const checkScopes = (scopes: readonly string[], place: string): void => {
    for (const scope of scopes) {
      if (!Object.hasOwn(snapshot.scopes, scope)) throw invalid(place, `scope \`${scope}\` is not in the catalogue`);
    }
  };
  const checkService = (id: string, place: string): void => {
    if (!Object.hasOwn(snapshot.services, id)) throw invalid(place, `\`${id}\` is no service here`);
  };
  const registered = new Set([...BUILT_IN_DETAIL_TYPES.keys(), ...snapshot.detail_types.map(({ type }) => type)]);
  for (const [id, service] of Object.entries(snapshot.services)) {
    service.routes.forEach((route, index) => {
      const place = `services.${id}.routes[${index}]`;
      for (const type of route.details) {
        if (!registered.has(type)) throw invalid(`${place}.details`, `no type \`${type}\` of details is registered`);
      }
      checkScopes(route.scopes, `${place}.scopes`);
      checkScopes(route.passes, `${place}.passes`);
    });
  }
  const edges = new Set<string>();
  snapshot.edges.forEach((edge, index) => {
    const place = `edges[${index}]`;
    if (!Object.hasOwn(snapshot.services, edge.from) && !Object.hasOwn(snapshot.workloads, edge.from)) {
      throw invalid(`${place}.from`, `\`${edge.from}\` is no service or workload here`);
    }
    checkService(edge.to, `${place}.to`);
    checkScopes(edge.narrow_to ?? [], `${place}.narrow_to`);
    for (const id of edge.next ?? []) checkService(id, `${place}.next`);
    const key = `${edge.from} ${edge.to}`;
    if (edges.has(key)) throw invalid(place, 'stands twice');
    edges.add(key);
  });
  checkExits(snapshot, checkScopes);
  for (const [id, workload] of Object.entries(snapshot.workloads)) {
    checkScopes(workload.entry_ceiling ?? [], `workloads.${id}.entry_ceiling`);
    const owns = new Set<string>();
    workload.own.forEach((own, index) => {
      const place = `workloads.${id}.own[${index}]`;
      if (owns.has(own.to)) throw invalid(place, 'stands twice');
      owns.add(own.to);
      checkService(own.to, `${place}.to`);
      checkScopes(own.scopes, `${place}.scopes`);
      if (!edges.has(`${id} ${own.to}`)) throw invalid(place, 'has no edge of its own');
    });
  }
}

/** URLs (RFC 8414 section 2), compared as text. */
export function readTokenIssuers(value: unknown, place: string): readonly string[] {
  const issuers = readList(value, place, (issuer, at) => {
    const text = readText(issuer, at);
    if (!URL.canParse(text)) throw invalid(at, 'no URL');
    return text;
  });
  if (issuers.length > MAX_TOKEN_ISSUERS) throw invalid(place, `more than ${MAX_TOKEN_ISSUERS}`);
  if (new Set(issuers).size !== issuers.length) throw invalid(place, 'one stands twice');
  return issuers;
}

function readCatalogue(value: unknown): PolicySnapshot['scopes'] {
  const entries = readMap(value, 'scopes').map(([name, entry]) => {
    const place = join('scopes', name);
    if (!isScopeToken(name)) throw invalid(place, 'not a scope-token (RFC 6749 section 3.3)');
    const { title, description } = readObject(entry, place, ['title', 'description']);
    return [
      name,
      { title: readText(title, join(place, 'title')), description: readText(description, join(place, 'description')) },
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** Each name once, and none of the format's own, which mean the same everywhere. */
function readDetailTypes(value: unknown): readonly DetailType[] {
  const types = readList(value, 'detail_types', (type, at) => atPlace(at, () => parseDetailType(type)));
  if (types.length > MAX_DETAIL_TYPES) throw invalid('detail_types', `more than ${MAX_DETAIL_TYPES}`);
  const names = new Set(BUILT_IN_DETAIL_TYPES.keys());
  types.forEach(({ type }, index) => {
    if (names.has(type)) throw invalid(`detail_types[${index}].type`, `\`${type}\` is registered already`);
    names.add(type);
  });
  return types;
}

function readById<T>(
  value: unknown,
  place: string,
  trustDomain: string,
  read: (value: unknown, at: string) => T,
): { readonly [id: string]: T } {
  const entries = readMap(value, place).map(([id, entry]) => {
    const own = join(place, id);
    if (trustDomainOf(readId(id, own)) !== trustDomain) throw invalid(own, 'belongs to another trust domain');
    if (isReservedPath(id as SpiffeId)) throw invalid(own, 'is reserved for parts of the mesh');
    return [id, read(entry, own)] as const;
  });
  return Object.fromEntries(entries);
}

function readService(value: unknown, place: string): SnapshotService {
  const object = readObject(value, place, ['name', 'owner', 'reason', 'protocol', 'routes', 'endpoints']);
  return {
    name: readText(object.name, join(place, 'name'), 128),
    owner: readText(object.owner, join(place, 'owner')),
    reason: readText(object.reason, join(place, 'reason')),
    protocol: readChoice(object.protocol, join(place, 'protocol'), ['http', 'grpc']),
    routes: readList(object.routes, join(place, 'routes'), readRoute),
    endpoints: readList(object.endpoints, join(place, 'endpoints'), readEndpoint),
  };
}

/** @throws {BehalfError} `snapshot_invalid` */
function readRoute(value: unknown, place: string): SnapshotRoute {
  const object = readObject(
    value,
    place,
    ['method', 'template', 'operation', 'scopes', 'passes', 'fresh'],
    ['bind', 'details', 'public'],
  );
  const template = readText(object.template, join(place, 'template'), MAX_TEMPLATE_LENGTH);
  atPlace(join(place, 'template'), () => parseTemplate(template));
  return {
    method: readMethod(object.method, join(place, 'method')),
    template,
    operation: readText(object.operation, join(place, 'operation'), 1_200),
    scopes: readScopes(object.scopes, join(place, 'scopes')),
    passes: readScopes(object.passes, join(place, 'passes')),
    fresh: readBoolean(object.fresh, join(place, 'fresh')),
    // Absent in snapshots that were signed before there was such a demand.
    bind: readChoice(object.bind ?? 'none', join(place, 'bind'), ROUTE_BINDINGS),
    details: readDetailNames(object.details ?? [], join(place, 'details')),
    ...readPublic(object.public, object.scopes, place),
  };
}

/** An upper-case method name, or `*`. @throws {BehalfError} `snapshot_invalid` */
export function readMethod(value: unknown, place: string): string {
  const method = readText(value, place, 32);
  if (method !== '*' && !/^[A-Z][A-Z-]*$/.test(method)) throw invalid(place, 'not an upper-case method or `*`');
  return method;
}

/** `host:port`; IPv6 addresses in brackets. @throws {BehalfError} `snapshot_invalid` */
export function readEndpoint(value: unknown, place: string): string {
  const endpoint = readText(value, place, 300);
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})$/.exec(endpoint);
  const port = Number(match?.[1] ?? 0);
  if (!(port >= 1 && port <= 65_535)) throw invalid(place, 'not host:port');
  return endpoint;
}

function readWorkload(value: unknown, place: string): SnapshotWorkload {
  // Absent in snapshots that were signed before work could be deferred.
  const object = readObject(value, place, ['name', 'owner', 'reason', 'entry_ceiling', 'own'], ['deferrable']);
  return {
    name: readText(object.name, join(place, 'name'), 128),
    owner: readText(object.owner, join(place, 'owner')),
    reason: readText(object.reason, join(place, 'reason')),
    entry_ceiling: readScopesOrNull(object.entry_ceiling, join(place, 'entry_ceiling')),
    own: readList(object.own, join(place, 'own'), (own, at) => {
      const { to, scopes } = readObject(own, at, ['to', 'scopes']);
      return { to: readId(to, join(at, 'to')), scopes: readScopes(scopes, join(at, 'scopes')) };
    }),
    ...(object.deferrable === undefined
      ? {}
      : { deferrable: readBoolean(object.deferrable, join(place, 'deferrable')) }),
  };
}

function readEdge(value: unknown, place: string): SnapshotEdge {
  // The optional ones are absent in snapshots that were signed before there were such limits.
  const { from, to, narrow_to, max_depth, next, min_context } = readObject(
    value,
    place,
    ['from', 'to', 'narrow_to'],
    ['max_depth', 'next', 'min_context'],
  );
  return {
    from: readId(from, join(place, 'from')),
    to: readId(to, join(place, 'to')),
    narrow_to: readScopesOrNull(narrow_to, join(place, 'narrow_to')),
    max_depth:
      max_depth === undefined || max_depth === null
        ? null
        : readInteger(max_depth, join(place, 'max_depth'), 1, MAX_DEPTH),
    next: next === undefined || next === null ? null : readNext(next, join(place, 'next')),
    min_context:
      min_context === undefined || min_context === null
        ? null
        : readChoice(min_context, join(place, 'min_context'), CONTEXT_WAYS),
  };
}

/** Distinct IDs, few enough for a link; none at all means that the receiver hands the chain to nobody. */
function readNext(value: unknown, place: string): readonly SpiffeId[] {
  const ids = readList(value, place, readId);
  if (new Set(ids).size !== ids.length) throw invalid(place, 'names a workload twice');
  if (ids.join(',').length > MAX_NEXT_LENGTH) throw invalid(place, `longer than ${MAX_NEXT_LENGTH} characters in all`);
  return ids;
}

/** Ids stand in events and headers. */
export function isPolicyId(id: string): boolean {
  return /^[A-Za-z0-9._/#-]{1,128}$/.test(id);
}

function readCedar(value: unknown): PolicySnapshot['cedar'] {
  const { schema, policies } = readObject(value, 'cedar', ['schema', 'policies']);
  const entries = readMap(policies, 'cedar.policies').map(([id, text]) => {
    if (!isPolicyId(id)) throw invalid('cedar.policies', `\`${id.slice(0, 80)}\` is no policy id`);
    return [id, readText(text, join('cedar.policies', id), MAX_CEDAR_LENGTH)] as const;
  });
  return { schema: readText(schema, 'cedar.schema', MAX_CEDAR_LENGTH), policies: Object.fromEntries(entries) };
}

/** The bounds of DESIGN section 6 and WIRE.md section 1. @throws {BehalfError} `snapshot_invalid` */
function readSettings(value: unknown): SnapshotSettings {
  const place = 'settings';
  const object = readObject(value, place, ['root_reuse_s', 'max_staleness_s', 'stream_max_age_s'], ['min_context']);
  const staleness = readObject(object.max_staleness_s, join(place, 'max_staleness_s'), ['authority', 'ca']);
  return {
    root_reuse_s: readInteger(object.root_reuse_s, join(place, 'root_reuse_s'), 0, 30),
    max_staleness_s: {
      authority: readInteger(staleness.authority, join(place, 'max_staleness_s.authority'), 15, 300),
      ca: readInteger(staleness.ca, join(place, 'max_staleness_s.ca'), 15, 3_600),
    },
    stream_max_age_s: readInteger(object.stream_max_age_s, join(place, 'stream_max_age_s'), 1, 86_400),
    // Absent in snapshots that were signed before there was such a demand.
    min_context: readChoice(object.min_context ?? 'trace', join(place, 'min_context'), CONTEXT_WAYS),
  };
}

function readScopesOrNull(value: unknown, place: string): readonly string[] | null {
  return value === null ? null : readScopes(value, place);
}

function readId(value: unknown, place: string): SpiffeId {
  return atPlace(place, () => parseSpiffeId(value));
}

/** Gives what another parser refuses the code and place of this document. @throws {BehalfError} `snapshot_invalid` */
export function atPlace<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof BehalfError)) throw cause;
    throw new BehalfError('snapshot_invalid', { ...cause.detail, at: place }, { cause });
  }
}
