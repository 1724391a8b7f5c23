/**
 * Routes of a service from its OpenAPI document (3.0 and 3.1): each operation's `security` requirement gives the scopes that
 * a call needs, `x-behalf: {passes, fresh, bind, details, public}` what it may hand on, whether a root is never reused for it, what
 * the last link of a call has to be bound to, of which types of details a call has to have an entry, and whether an entry lets
 * requests in without a credential.
 *
 * Stricter than OpenAPI, because a snapshot says one thing only: an operation must say what it needs (`security: []` for
 * nothing), and alternatives are refused, as a route needs all of its scopes.
 */

import {
  invalid,
  join,
  readBoolean,
  readChoice,
  readList,
  readMap,
  readObject,
  readText,
} from '../snapshot/read-json.ts';
import { ROUTE_BINDINGS, type SnapshotRoute } from '../snapshot/snapshot.ts';
import { readPublic } from './public-route.ts';
import { readDetailNames, readScopes } from './scopes.ts';

/** OpenAPI's operation keys (Path Item Object). */
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

/**
 * The routes of a parsed OpenAPI document, paths below the path of its `servers`.
 * @throws {BehalfError} `snapshot_invalid`, with the operation's place
 */
export function routesFromOpenApi(document: unknown): readonly SnapshotRoute[] {
  return operationsFromOpenApi(document).map(({ route }) => route);
}

/** The same, each with the place of its operation in the document. @throws {BehalfError} `snapshot_invalid` */
export function operationsFromOpenApi(document: unknown): readonly { route: SnapshotRoute; at: string }[] {
  const root = members(document, '');
  const version = root.get('openapi');
  if (typeof version !== 'string' || !version.startsWith('3.')) throw invalid('openapi', 'not an OpenAPI 3 document');
  const base = basePath(root.get('servers'));
  const found: { route: SnapshotRoute; at: string }[] = [];
  for (const [path, item] of readMap(root.get('paths'), 'paths')) {
    const at = join('paths', path);
    const operations = members(item, at);
    if (operations.has('$ref')) throw invalid(at, '`$ref` is not followed here');
    for (const method of METHODS) {
      if (!operations.has(method)) continue;
      const place = `${at}.${method}`;
      const route = readOperation(operations.get(method), place, method, base + path, root.get('security'));
      found.push({ route, at: place });
    }
  }
  return found;
}

function readOperation(
  operation: unknown,
  at: string,
  method: string,
  template: string,
  inherited: unknown,
): SnapshotRoute {
  const own = members(operation, at);
  const id = own.get('operationId');
  const extension = readExtension(own.get('x-behalf'), join(at, 'x-behalf'));
  const scopes = readSecurity(own.get('security') ?? inherited, join(at, 'security'));
  return {
    method: method.toUpperCase(),
    template,
    operation: id === undefined ? `${method.toUpperCase()} ${template}` : readText(id, join(at, 'operationId'), 256),
    scopes,
    passes: extension.passes,
    fresh: extension.fresh,
    bind: extension.bind,
    details: extension.details,
    ...readPublic(extension.public, scopes, join(at, 'x-behalf')),
  };
}

function readSecurity(security: unknown, at: string): readonly string[] {
  if (security === undefined) throw invalid(at, 'says nothing; write `security: []` for a call that needs no scope');
  const alternatives = readList(security, at, (requirement, place) => readMap(requirement, place));
  if (alternatives.length > 1) throw invalid(at, 'has alternatives; a route needs all of its scopes');
  const scopes = new Set<string>();
  for (const [scheme, needed] of alternatives[0] ?? []) {
    for (const scope of readScopes(needed, join(at, scheme))) scopes.add(scope);
  }
  return [...scopes];
}

interface Extension extends Pick<SnapshotRoute, 'passes' | 'fresh' | 'bind' | 'details'> {
  readonly public: unknown;
}

function readExtension(value: unknown, at: string): Extension {
  if (value === undefined) return { passes: [], fresh: false, bind: 'none', details: [], public: undefined };
  const object = readObject(value, at, [], ['passes', 'fresh', 'bind', 'details', 'public']);
  const { passes, fresh, bind, details } = object;
  return {
    passes: passes === undefined ? [] : readScopes(passes, join(at, 'passes')),
    fresh: fresh === undefined ? false : readBoolean(fresh, join(at, 'fresh')),
    bind: bind === undefined ? 'none' : readChoice(bind, join(at, 'bind'), ROUTE_BINDINGS),
    details: details === undefined ? [] : readDetailNames(details, join(at, 'details')),
    public: object.public,
  };
}

/** The one path that all servers share, without a trailing slash. */
function basePath(servers: unknown): string {
  if (servers === undefined) return '';
  const paths = readList(servers, 'servers', (server, at) => {
    const url = readText(members(server, at).get('url'), join(at, 'url'));
    if (url.includes('{')) throw invalid(join(at, 'url'), 'has variables; write it out');
    if (!URL.canParse(url, 'http://host')) throw invalid(join(at, 'url'), 'not a URL');
    return new URL(url, 'http://host').pathname.replace(/\/+$/, '');
  });
  if (new Set(paths).size > 1) throw invalid('servers', 'have different paths');
  return paths[0] ?? '';
}

function members(value: unknown, at: string): ReadonlyMap<string, unknown> {
  return new Map(readMap(value, at));
}
