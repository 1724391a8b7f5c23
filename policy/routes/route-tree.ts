/**
 * Finds the route of a method and path. Templates stand in a tree of segments; the most specific one whose method fits wins:
 * segment by segment from the left a literal before `{name}` before `{+name}`, then the exact method before `*`. So the
 * answer does not depend on the order in which routes were written. A tree node lies on one way only, so a search visits
 * each node at most once.
 *
 * Other routers fold case, drop a trailing slash, decode or cut segments before they match. A path that such a reading
 * would lead to another of the service's routes is refused: else the scopes of one route would open another.
 */
import { BehalfError } from '../../errors/index.ts';
import type { SnapshotRoute } from '../snapshot/snapshot.ts';
import { foldSegment, splitPath } from './path.ts';
import { parseTemplate, shapeOf, type TemplateSegment } from './template.ts';

/** A route and the name that links, events and policies know it by. */
export interface NamedRoute {
  readonly route: SnapshotRoute;
  /** `<METHOD> <template>`, as in `rte` (WIRE.md section 1). */
  readonly name: string;
}

/** The routes of one service, ready to be searched. */
export interface RouteTree {
  readonly exact: RouteNode;
  /** The same templates as a lenient router reads them. */
  readonly folded: RouteNode;
  /** Whether folding changes no template, so that a path that it leaves alone needs one search. */
  readonly isPlain: boolean;
}

interface RouteNode {
  readonly literals: Map<string, RouteNode>;
  parameter: RouteNode | null;
  /** By method. A folded leaf may hold several routes of one method, an exact leaf never does. */
  readonly here: Map<string, NamedRoute[]>;
  readonly rest: Map<string, NamedRoute[]>;
}

const ANY_METHOD = '*';

/**
 * Builds the tree.
 * @throws {BehalfError} `snapshot_invalid` for a malformed template or two routes of one method and shape
 */
export function buildRouteTree(routes: readonly SnapshotRoute[]): RouteTree {
  const exact = newNode();
  const folded = newNode();
  let isPlain = true;
  const seen = new Set<string>();
  for (const route of routes) {
    const segments = parseTemplate(route.template);
    const shape = shapeOf(segments);
    const key = `${route.method} ${shape}`;
    const name = routeName(route);
    if (seen.has(key)) throw new BehalfError('snapshot_invalid', { route: name, why: 'another route has its shape' });
    seen.add(key);
    isPlain &&= readsOneWay(shape);
    const named = { route, name };
    insert(exact, segments, named, (text) => text);
    insert(folded, withoutTrailingSlash(segments), named, foldSegment);
  }
  return { exact, folded, isPlain };
}

/** `<METHOD> <template>`. */
/** `GET /orders/{id}`. */
export function routeName({ method, template }: SnapshotRoute): string {
  return `${method} ${template}`;
}

/**
 * The route of a call, or null where the service has none for it. `path` is without query.
 * @throws {BehalfError} `request_malformed` for a path that routers read differently
 */
export function findRoute(tree: RouteTree, method: string, path: string): NamedRoute | null {
  const segments = splitPath(path);
  const found = search(tree.exact, segments, 0, method)?.[0] ?? null;
  if (found === null || (tree.isPlain && readsOneWay(path))) return found;
  const lenient = search(tree.folded, fold(segments), 0, method);
  if (lenient !== null && !lenient.includes(found)) {
    throw new BehalfError('request_malformed', { part: 'path', why: 'another router may read it as another route' });
  }
  return found;
}

/** Whether folding cannot change a path or template: no capital, `%`, `;` or trailing slash. */
function readsOneWay(path: string): boolean {
  const last = path.length - 1;
  for (let at = 0; at <= last; at += 1) {
    const char = path.charCodeAt(at);
    if ((char >= 0x41 && char <= 0x5a) || char === 0x25 || char === 0x3b) return false;
  }
  return last <= 0 || path.charCodeAt(last) !== 0x2f;
}

function fold(segments: readonly string[]): string[] {
  const folded = segments.map(foldSegment);
  if (folded.length > 1 && folded[folded.length - 1] === '') folded.pop();
  return folded;
}

function withoutTrailingSlash(segments: readonly TemplateSegment[]): readonly TemplateSegment[] {
  const last = segments[segments.length - 1];
  return segments.length > 1 && last?.kind === 'literal' && last.text === '' ? segments.slice(0, -1) : segments;
}

function newNode(): RouteNode {
  return { literals: new Map(), parameter: null, here: new Map(), rest: new Map() };
}

function insert(
  root: RouteNode,
  segments: readonly TemplateSegment[],
  named: NamedRoute,
  keyOf: (text: string) => string,
): void {
  let node = root;
  for (const segment of segments) {
    if (segment.kind === 'rest') {
      add(node.rest, named);
      return;
    }
    if (segment.kind === 'parameter') {
      node.parameter ??= newNode();
      node = node.parameter;
      continue;
    }
    const key = keyOf(segment.text);
    let next = node.literals.get(key);
    if (next === undefined) {
      next = newNode();
      node.literals.set(key, next);
    }
    node = next;
  }
  add(node.here, named);
}

function add(leaf: Map<string, NamedRoute[]>, named: NamedRoute): void {
  const routes = leaf.get(named.route.method);
  if (routes === undefined) leaf.set(named.route.method, [named]);
  else routes.push(named);
}

function search(node: RouteNode, segments: readonly string[], at: number, method: string): NamedRoute[] | null {
  const segment = segments[at];
  if (segment === undefined) return ofMethod(node.here, method);
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = search(literal, segments, at + 1, method);
    if (found !== null) return found;
  }
  if (node.parameter !== null && segment !== '') {
    const found = search(node.parameter, segments, at + 1, method);
    if (found !== null) return found;
  }
  return ofMethod(node.rest, method);
}

function ofMethod(leaf: Map<string, NamedRoute[]>, method: string): NamedRoute[] | null {
  return leaf.get(method) ?? leaf.get(ANY_METHOD) ?? null;
}
