/**
 * Entities that Cedar policies name: a workload, service or route that the mesh does not have is refused, since such a policy
 * looks like a rule and never is one. Only where a folder is built: a snapshot that is signed stands as it is.
 */
import { BehalfError } from '../../errors/index.ts';
import { didYouMean, nearestName } from '../../errors/nearest.ts';
import { NAMESPACE } from '../model/base-schema.ts';
import { routeName } from '../routes/route-tree.ts';
import type { PolicySnapshot } from '../snapshot/snapshot.ts';
import { placeInFile, type WrittenPolicy } from './cedar-files.ts';
import { type MeshNames, type Names, nearestId } from './references.ts';

interface EntityLiteral {
  readonly type: string;
  readonly id: string;
}

/**
 * Holds the literals of types `Workload`, `Service`, `Route`, `Exit` and `ExitRoute` against the snapshot.
 * @throws {BehalfError} `snapshot_invalid`, with file, line, the policy's id, and what was probably meant
 */
export function checkCedarNames(
  policies: readonly WrittenPolicy[],
  snapshot: PolicySnapshot,
  { services, all }: MeshNames,
): void {
  const routes = Object.entries(snapshot.services).flatMap(([id, service]) =>
    service.routes.map((route) => `${id} ${routeName(route)}`),
  );
  const exits = Object.keys(snapshot.exits);
  const exitRoutes = Object.entries(snapshot.exits).flatMap(([name, exit]) =>
    exit.routes.map((route) => `${name} ${routeName(route)}`),
  );
  for (const policy of policies) {
    // Annotations are free text, and may look like an entity.
    const { annotations: _, ...body } = policy.json;
    for (const literal of literalsOf(body)) {
      if (literal.type === `${NAMESPACE}::Workload`) checkId(policy, literal, all, 'service or workload');
      if (literal.type === `${NAMESPACE}::Service`) checkId(policy, literal, services, 'service');
      if (literal.type === `${NAMESPACE}::Route` && !routes.includes(literal.id))
        throw defect(policy, literal, 'route of a service', nearestName(literal.id, routes));
      if (literal.type === `${NAMESPACE}::Exit` && !exits.includes(literal.id))
        throw defect(policy, literal, 'exit', nearestName(literal.id, exits));
      if (literal.type === `${NAMESPACE}::ExitRoute` && !exitRoutes.includes(literal.id))
        throw defect(policy, literal, 'route of an exit', nearestName(literal.id, exitRoutes));
    }
  }
}

function checkId(policy: WrittenPolicy, literal: EntityLiteral, names: Names, kind: string): void {
  if ([...names.values()].includes(literal.id)) return;
  throw defect(policy, literal, kind, nearestId(literal.id, names));
}

/**
 * Entity literals in Cedar's JSON form of a policy. Nothing else there has a text `type` beside a text `id`: members of records
 * are expressions, which are objects.
 */
function literalsOf(node: unknown): readonly EntityLiteral[] {
  if (typeof node !== 'object' || node === null) return [];
  if (isLiteral(node)) return [node];
  return Object.values(node).flatMap(literalsOf);
}

function isLiteral(node: object): node is EntityLiteral {
  return 'type' in node && 'id' in node && typeof node.type === 'string' && typeof node.id === 'string';
}

function defect(policy: WrittenPolicy, { type, id }: EntityLiteral, kind: string, meant: string | null): BehalfError {
  return new BehalfError('snapshot_invalid', {
    at: placeInFile(policy, offsetOf(policy.text, type, id)),
    policy: policy.id,
    why: `mesh.yaml has no ${kind} ${type}::${JSON.stringify(id.slice(0, 255))}${didYouMean(meant)}`,
  });
}

/** Bytes before the literal in the policy's text; 0 where it is written with escapes. */
function offsetOf(text: string, type: string, id: string): number {
  const name = type.replace(`${NAMESPACE}::`, '');
  const quoted = JSON.stringify(id).replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const at = text.search(new RegExp(`${name}\\s*::\\s*${quoted}`));
  return Buffer.byteLength(text.slice(0, Math.max(at, 0)));
}
