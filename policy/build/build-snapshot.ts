/**
 * A policy folder as a snapshot: `mesh.yaml`, the OpenAPI documents and .proto files that it names, every `*.cedar` file, and
 * `schema.cedarschema` with the app's own actions and resource types. Pure: who calls reads the files.
 */
import { BehalfError } from '../../errors/index.ts';
import { compileSnapshot } from '../decide/compile.ts';
import { schemaWith } from '../model/base-schema.ts';
import { routesFromProto } from '../routes/grpc-proto.ts';
import { routesFromOpenApi } from '../routes/openapi.ts';
import { parseSnapshot } from '../snapshot/parse-snapshot.ts';
import { invalid } from '../snapshot/read-json.ts';
import type { PolicySnapshot, SnapshotRoute } from '../snapshot/snapshot.ts';
import { readCedarFiles } from './cedar-files.ts';
import { type MeshFile, parseMeshFile, parseYaml, type RouteSource } from './mesh-file.ts';

const MESH_FILE = 'mesh.yaml';
const SCHEMA_FILE = 'schema.cedarschema';

export interface PolicySource {
  /** Text by path relative to the folder, `/` between folders. Files that nothing names are not read. */
  readonly files: { readonly [path: string]: string };
  /** Higher than that of the snapshot in force. */
  readonly number: number;
  readonly issuedAtS: number;
}

/**
 * Builds and fully checks a snapshot: it parses, its references fit, its Cedar validates against its schema.
 * @throws {BehalfError} `snapshot_invalid`, with file and line or the place in the document
 */
export function buildSnapshot({ files, number, issuedAtS }: PolicySource): PolicySnapshot {
  const mesh = parseMeshFile(fileOf(files, MESH_FILE, MESH_FILE));
  const idOf = namesOf(mesh);
  const issuedAt = Math.floor(issuedAtS);
  const snapshot = parseSnapshot({
    version: 1,
    number,
    trust_domain: mesh.trustDomain,
    issued_at: issuedAt,
    valid_until: issuedAt + mesh.validForS,
    scopes: mesh.scopes,
    services: Object.fromEntries(
      mesh.services.map(({ id, routes, ...service }) => [id, { ...service, routes: readRoutes(files, routes) }]),
    ),
    workloads: Object.fromEntries(
      mesh.workloads.map(({ id, entryCeiling, own, ...workload }) => [
        id,
        { ...workload, entry_ceiling: entryCeiling, own: own.map(({ to, scopes }) => ({ to: idOf(to), scopes })) },
      ]),
    ),
    edges: mesh.edges.map(({ from, to, narrowTo, maxDepth, next }) => ({
      from: idOf(from),
      to: idOf(to),
      narrow_to: narrowTo,
      max_depth: maxDepth,
      next: next?.map(idOf) ?? null,
    })),
    cedar: {
      schema: schemaWith(Object.hasOwn(files, SCHEMA_FILE) ? (files[SCHEMA_FILE] ?? '') : ''),
      policies: readCedarFiles(cedarFilesOf(files)),
    },
    settings: mesh.settings,
  });
  compileSnapshot(snapshot);
  return snapshot;
}

/** Names and IDs as IDs; services and workloads of one name must be one ID. */
function namesOf(mesh: MeshFile): (nameOrId: string) => string {
  const ids = new Map<string, string>();
  for (const { name, id } of [...mesh.services, ...mesh.workloads]) {
    if (ids.has(name) && ids.get(name) !== id) throw invalid(name, 'names two SPIFFE IDs');
    ids.set(name, id);
  }
  return (nameOrId) => ids.get(nameOrId) ?? nameOrId;
}

function readRoutes(files: PolicySource['files'], source: RouteSource): readonly SnapshotRoute[] {
  if (source.kind === 'routes') return source.routes;
  const text = fileOf(files, source.file, MESH_FILE);
  try {
    return source.kind === 'openapi' ? routesFromOpenApi(parseYaml(text, source.file)) : routesFromProto(text);
  } catch (cause) {
    if (!(cause instanceof BehalfError)) throw cause;
    throw new BehalfError('snapshot_invalid', { ...cause.detail, file: source.file }, { cause });
  }
}

function cedarFilesOf(files: PolicySource['files']): ReadonlyMap<string, string> {
  const paths = Object.keys(files).filter((path) => path.endsWith('.cedar'));
  return new Map(paths.sort().map((path) => [path, files[path] ?? '']));
}

function fileOf(files: PolicySource['files'], path: string, namedBy: string): string {
  const text = Object.hasOwn(files, path) ? files[path] : undefined;
  if (text === undefined) throw invalid(namedBy, `the folder has no file \`${path.slice(0, 120)}\``);
  return text;
}
