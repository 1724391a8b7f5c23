/**
 * Routes of a gRPC service from its .proto: `/<package>.<Service>/<Method>` with the scopes that the method options of
 * `behalf/options/v1/options.proto` name. As in OpenAPI a method must say what it needs: `scopes = ""` for nothing.
 */
import protobuf from 'protobufjs';
import { BehalfError } from '../../errors/index.ts';
import { invalid, readChoice } from '../snapshot/read-json.ts';
import { ROUTE_BINDINGS, type SnapshotRoute } from '../snapshot/snapshot.ts';
import { readPublic } from './public-route.ts';
import { readDetailNames, readScopes } from './scopes.ts';

const SCOPES = '(behalf.options.v1.scopes)';
const PASSES = '(behalf.options.v1.passes)';
const FRESH = '(behalf.options.v1.fresh)';
const BIND = '(behalf.options.v1.bind)';
const DETAILS = '(behalf.options.v1.details)';
const PUBLIC = '(behalf.options.v1.public)';

/**
 * The routes of every service in the text of one .proto file. Imports are not followed: names and options of services stand
 * in the file itself.
 * @throws {BehalfError} `snapshot_invalid`, with the method's place
 */
export function routesFromProto(source: string): readonly SnapshotRoute[] {
  const routes: SnapshotRoute[] = [];
  collect(parseProto(source), routes);
  if (routes.length === 0) throw invalid('proto', 'has no service with methods');
  return routes;
}

function parseProto(source: string): protobuf.Root {
  try {
    return protobuf.parse(source, { keepCase: true }).root;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'not a .proto file';
    throw new BehalfError('snapshot_invalid', { at: 'proto', why }, { cause });
  }
}

function collect(namespace: protobuf.NamespaceBase, routes: SnapshotRoute[]): void {
  for (const child of namespace.nestedArray) {
    if (child instanceof protobuf.Service) {
      for (const method of child.methodsArray) routes.push(routeOf(child, method));
    } else if (child instanceof protobuf.Namespace) {
      collect(child, routes);
    }
  }
}

function routeOf(service: protobuf.Service, method: protobuf.Method): SnapshotRoute {
  const name = service.fullName.replace(/^\./, '');
  const at = `${name}.${method.name}`;
  const options: readonly Record<string, unknown>[] = method.parsedOptions ?? [];
  const scopes = valuesOf(options, SCOPES);
  if (scopes.length === 0)
    throw invalid(at, `says nothing; write \`option ${SCOPES} = ""\` for a call that needs no scope`);
  const needed = readScopes(scopes.length === 1 && scopes[0] === '' ? [] : scopes, `${at}.scopes`);
  return {
    method: 'POST',
    template: `/${name}/${method.name}`,
    operation: at,
    scopes: needed,
    passes: readScopes(valuesOf(options, PASSES), `${at}.passes`),
    fresh: valuesOf(options, FRESH).at(-1) === true,
    bind: readChoice(valuesOf(options, BIND).at(-1) ?? 'none', `${at}.bind`, ROUTE_BINDINGS),
    details: readDetailNames(valuesOf(options, DETAILS), `${at}.details`),
    ...readPublic(valuesOf(options, PUBLIC).at(-1), needed, at),
  };
}

/** All values of a repeated option, each of which may stand in a statement of its own or in one list. */
function valuesOf(options: readonly Record<string, unknown>[], name: string): readonly unknown[] {
  const dotted = name.replace('(', '(.');
  return options
    .flatMap((option) => [option[name], option[dotted]])
    .flat()
    .filter((value) => value !== undefined);
}
