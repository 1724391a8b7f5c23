/**
 * Names in a policy folder and what they stand for: a service, workload or scope that nothing declares is refused, with the one
 * that was probably meant.
 */
import { didYouMean, nearestName } from '../../errors/nearest.ts';
import { invalid, readMap } from '../snapshot/read-json.ts';
import type { SnapshotRoute } from '../snapshot/snapshot.ts';
import type { MeshFile } from './mesh-file.ts';

/** Named IDs, by name. */
export type Names = ReadonlyMap<string, string>;

export interface MeshNames {
  readonly services: Names;
  /** Services and workloads. */
  readonly all: Names;
  readonly scopes: readonly string[];
}

/**
 * What `mesh.yaml` declares. Services and workloads of one name must be one ID.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function namesOf(mesh: MeshFile): MeshNames {
  const services = new Map<string, string>(mesh.services.map(({ name, id }) => [name, id]));
  const all = new Map(services);
  for (const { name, id } of mesh.workloads) {
    if ((all.get(name) ?? id) !== id) throw invalid(`workloads.${name}`, `\`${name}\` names two SPIFFE IDs`);
    all.set(name, id);
  }
  return { services, all, scopes: readMap(mesh.scopes, 'scopes').map(([name]) => name) };
}

/** The ID that a name or ID stands for; itself where nothing has it. */
export function idOf(names: Names, nameOrId: string): string {
  return names.get(nameOrId) ?? nameOrId;
}

/**
 * Holds every service, workload and scope that `mesh.yaml` refers to against what it declares.
 * @throws {BehalfError} `snapshot_invalid`, with the place in `mesh.yaml`
 */
export function checkMeshReferences(mesh: MeshFile, names: MeshNames): void {
  const { services, all, scopes } = names;
  mesh.edges.forEach((edge, index) => {
    const at = `edges[${index}]`;
    checkName(all, edge.from, `${at}.from`, 'service or workload');
    checkName(services, edge.to, `${at}.to`, 'service');
    checkScopes(scopes, edge.narrowTo ?? [], `${at}.narrowTo`);
    edge.next?.forEach((next, position) => {
      checkName(services, next, `${at}.next[${position}]`, 'service');
    });
  });
  for (const { name, entryCeiling, own } of mesh.workloads) {
    const at = `workloads.${name}`;
    checkScopes(scopes, entryCeiling ?? [], `${at}.entry.ceiling`);
    own.forEach((one, index) => {
      checkName(services, one.to, `${at}.own[${index}].to`, 'service');
      checkScopes(scopes, one.scopes, `${at}.own[${index}].scopes`);
    });
  }
  for (const { name, from, own, token } of mesh.exits) {
    const at = `exits.${name}`;
    from.forEach((caller, index) => {
      checkName(all, caller, `${at}.from[${index}]`, 'service or workload');
    });
    checkScopes(scopes, own ?? [], `${at}.own.scopes`);
    checkScopes(scopes, Object.keys(token?.scopes ?? {}), `${at}.token.scopes`);
  }
  for (const part of ['services', 'exits'] as const) {
    for (const { name, routes } of mesh[part]) {
      if (routes.kind !== 'routes') continue;
      routes.routes.forEach((route, index) => {
        checkRouteScopes(scopes, route, `${part}.${name}.routes[${index}]`);
      });
    }
  }
}

/** @throws {BehalfError} `snapshot_invalid` for a scope of the route that is not in the catalogue */
export function checkRouteScopes(
  catalogue: readonly string[],
  route: SnapshotRoute,
  at: string,
  members = { scopes: 'scopes', passes: 'passes' },
): void {
  checkScopes(catalogue, route.scopes, `${at}.${members.scopes}`);
  checkScopes(catalogue, route.passes, `${at}.${members.passes}`);
}

/**
 * The ID that was probably meant by an ID or a name where only IDs may stand, or null. IDs in one trust domain are near by their
 * paths.
 */
export function nearestId(given: string, names: Names): string | null {
  const ids = [...names.values()];
  const prefix = /^spiffe:\/\/[^/]*\//.exec(ids[0] ?? '')?.[0] ?? '';
  if (given.startsWith('spiffe://') && !given.startsWith(prefix)) return nearestName(given, ids);
  const byPath = new Map([...names, ...ids.map((id) => [id.slice(prefix.length), id] as const)]);
  const near = nearestName(given.startsWith(prefix) ? given.slice(prefix.length) : given, [...byPath.keys()]);
  return near === null ? null : (byPath.get(near) ?? null);
}

function checkName(names: Names, nameOrId: string, at: string, kind: string): void {
  if (names.has(nameOrId) || [...names.values()].includes(nameOrId)) return;
  const meant = nameOrId.startsWith('spiffe://')
    ? nearestId(nameOrId, names)
    : nearestName(nameOrId, [...names.keys()]);
  throw invalid(at, `no ${kind} is named \`${nameOrId.slice(0, 255)}\`${didYouMean(meant)}`);
}

function checkScopes(catalogue: readonly string[], scopes: readonly string[], at: string): void {
  for (const scope of scopes) {
    if (catalogue.includes(scope)) continue;
    throw invalid(
      at,
      `scope \`${scope.slice(0, 255)}\` is not in \`scopes\` of mesh.yaml${didYouMean(nearestName(scope, catalogue))}`,
    );
  }
}
