/**
 * A policy folder as a snapshot: `mesh.yaml`, the OpenAPI documents and .proto files that it names, every `*.cedar` file, and
 * `schema.cedarschema` with the app's own actions and resource types. Pure: who calls reads the files.
 */
import { didYouMean, nearestName } from '../../errors/nearest.ts';
import { compileSnapshot } from '../decide/compile.ts';
import { schemaWith } from '../model/base-schema.ts';
import { routesFromProto } from '../routes/grpc-proto.ts';
import { operationsFromOpenApi } from '../routes/openapi.ts';
import { parseTemplate } from '../routes/template.ts';
import { atPlace, parseSnapshot } from '../snapshot/parse-snapshot.ts';
import { invalid } from '../snapshot/read-json.ts';
import type { PolicySnapshot, SnapshotRoute } from '../snapshot/snapshot.ts';
import { readCedarFiles } from './cedar-files.ts';
import { checkCedarNames } from './cedar-names.ts';
import type { MeshExit } from './mesh-exits.ts';
import { MESH_FILE, type MeshFile, parseMeshFile } from './mesh-file.ts';
import { checkMeshReferences, checkRouteScopes, idOf, namesOf } from './references.ts';
import type { RouteSource } from './route-source.ts';
import { atWrittenPlaces } from './written-places.ts';
import { type FilePlace, inFile, readYamlFile } from './yaml-file.ts';

const SCHEMA_FILE = 'schema.cedarschema';

export interface PolicySource {
  /** Text by path relative to the folder, `/` between folders. Files that nothing names are not read. */
  readonly files: { readonly [path: string]: string };
  /** Higher than that of the snapshot in force. */
  readonly number: number;
  readonly issuedAtS: number;
}

/**
 * Builds and fully checks a snapshot: it parses, its references fit, its Cedar validates against its schema and names only what
 * there is.
 * @throws {BehalfError} `snapshot_invalid`, with file, line and the place in the document where they are known
 */
export function buildSnapshot({ files, number, issuedAtS }: PolicySource): PolicySnapshot {
  const mesh = parseMeshFile(fileOf(files, MESH_FILE, () => null));
  const names = inFile(mesh.place, () => namesOf(mesh));
  inFile(mesh.place, () => checkMeshReferences(mesh, names));
  const policies = readCedarFiles(cedarFilesOf(files));
  const ownSchema = Object.hasOwn(files, SCHEMA_FILE) ? { file: SCHEMA_FILE, text: files[SCHEMA_FILE] ?? '' } : null;
  const toId = (nameOrId: string): string => idOf(names.all, nameOrId);
  const issuedAt = Math.floor(issuedAtS);
  const exitJson = ({ name, from, routes, caFile, ...exit }: MeshExit) => ({
    ...exit,
    from: from.map(toId),
    routes: readRoutes(files, routes, { mesh, at: `exits.${name}`, scopes: names.scopes }),
    tls: exit.tls === null ? null : { ...exit.tls, ca: caFile === null ? null : caOf(files, caFile, mesh, name) },
  });
  const json = {
    version: 1,
    number,
    trust_domain: mesh.trustDomain,
    issued_at: issuedAt,
    valid_until: issuedAt + mesh.validForS,
    scopes: mesh.scopes,
    detail_types: mesh.detailTypes,
    services: Object.fromEntries(
      mesh.services.map(({ id, routes, ...service }) => [
        id,
        {
          ...service,
          routes: readRoutes(files, routes, { mesh, at: `services.${service.name}`, scopes: names.scopes }),
        },
      ]),
    ),
    workloads: Object.fromEntries(
      mesh.workloads.map(({ id, entryCeiling, own, ...workload }) => [
        id,
        { ...workload, entry_ceiling: entryCeiling, own: own.map(({ to, scopes }) => ({ to: toId(to), scopes })) },
      ]),
    ),
    edges: mesh.edges.map(({ from, to, narrowTo, maxDepth, next, minContext }) => ({
      from: toId(from),
      to: toId(to),
      narrow_to: narrowTo,
      max_depth: maxDepth,
      next: next?.map(toId) ?? null,
      min_context: minContext,
    })),
    exits: Object.fromEntries(mesh.exits.map((exit) => [exit.name, exitJson(exit)])),
    token_issuers: mesh.tokenIssuers,
    cedar: {
      schema: schemaWith(ownSchema?.text ?? ''),
      policies: Object.fromEntries(policies.map(({ id, text }) => [id, text])),
    },
    settings: mesh.settings,
  };
  const snapshot = atWrittenPlaces({ mesh, policies, ownSchema }, () => {
    const parsed = parseSnapshot(json);
    compileSnapshot(parsed);
    return parsed;
  });
  checkCedarNames(policies, snapshot, names);
  return snapshot;
}

interface RoutesFor {
  readonly mesh: MeshFile;
  /** Whose they are, such as `services.orders`. */
  readonly at: string;
  /** The catalogue. */
  readonly scopes: readonly string[];
}

function readRoutes(
  files: PolicySource['files'],
  source: RouteSource,
  { mesh, at: owner, scopes }: RoutesFor,
): readonly SnapshotRoute[] {
  if (source.kind === 'routes') return source.routes;
  const { file, kind } = source;
  const text = fileOf(files, file, () => ({ place: mesh.place, at: `${owner}.${kind}` }));
  if (kind === 'proto') {
    return inFile({ file, lineOf: () => null }, () => {
      const routes = routesFromProto(text);
      for (const route of routes) checkRouteScopes(scopes, route, route.operation);
      return routes;
    });
  }
  const { value, place } = readYamlFile(text, file);
  return inFile(place, () =>
    operationsFromOpenApi(value).map(({ route, at }) => {
      checkRouteScopes(scopes, route, at, { scopes: 'security', passes: 'x-behalf.passes' });
      atPlace(at, () => parseTemplate(route.template));
      return route;
    }),
  );
}

function caOf(files: PolicySource['files'], file: string, { place }: MeshFile, exit: string): string {
  return fileOf(files, file, () => ({ place, at: `exits.${exit}.tls.ca` }));
}

function cedarFilesOf(files: PolicySource['files']): ReadonlyMap<string, string> {
  const paths = Object.keys(files).filter((path) => path.endsWith('.cedar'));
  return new Map(paths.sort().map((path) => [path, files[path] ?? '']));
}

/** A file's text; where there is none, the refusal stands where `namedBy` says that it is named. */
function fileOf(
  files: PolicySource['files'],
  path: string,
  namedBy: () => { readonly place: FilePlace; readonly at: string } | null,
): string {
  const text = Object.hasOwn(files, path) ? files[path] : undefined;
  if (text !== undefined) return text;
  const why = `the folder has no file \`${path.slice(0, 120)}\`${didYouMean(nearestName(path, Object.keys(files)))}`;
  const named = namedBy();
  if (named === null) throw invalid(path, why);
  return inFile(named.place, () => {
    throw invalid(named.at, why);
  });
}
