/** Reads a policy folder (`policy/build/`) from disk, and the contracts outside it that its `mesh.yaml` names. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { parse } from 'yaml';
import { BehalfError } from '../../errors/index.ts';
import { POLICY_MESH_FILE } from '../../policy/index.ts';
import type { PolicyFiles } from './plan.ts';

/** More than any policy has; a guard against the wrong folder. */
const MAX_FILES = 500;
const MAX_FILE_BYTES = 1_048_576;
const WANTED = /\.(ya?ml|json|cedar|cedarschema|proto|pem)$/;

/**
 * The texts of a policy folder by their path within it; a contract that stands beside its service's code has the path that
 * `mesh.yaml` gives it, `../orders/openapi.yaml`.
 * @throws {BehalfError} `snapshot_invalid` where it cannot be read or is no policy folder
 */
export function readPolicyFolder(folder: string): PolicyFiles {
  try {
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && WANTED.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    if (paths.length > MAX_FILES)
      throw new BehalfError('snapshot_invalid', { at: folder, why: `has more than ${MAX_FILES} files` });
    const within = paths.map((path) => [relative(folder, path).split(sep).join('/'), readText(path)] as const);
    const mesh = within.find(([path]) => path === POLICY_MESH_FILE)?.[1];
    const beside = mesh === undefined ? [] : contractsOutside(mesh).filter((path) => existsSync(join(folder, path)));
    return Object.fromEntries([...within, ...beside.map((path) => [path, readText(join(folder, path))] as const)]);
  } catch (cause) {
    if (cause instanceof BehalfError) throw cause;
    throw new BehalfError(
      'snapshot_invalid',
      { at: folder, why: `cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})` },
      { cause },
    );
  }
}

function readText(path: string): string {
  if (statSync(path).size > MAX_FILE_BYTES)
    throw new BehalfError('snapshot_invalid', { at: path, why: `is larger than ${MAX_FILE_BYTES} bytes` });
  return readFileSync(path, 'utf8');
}

/** What is wrong with `mesh.yaml`, and a contract or a CA's certificate that is missing, `buildSnapshot` says with file and line. */
function contractsOutside(mesh: string): readonly string[] {
  let parts: readonly unknown[];
  try {
    const { services, exits } = (parse(mesh) ?? {}) as { services?: unknown; exits?: unknown };
    parts = [services, exits];
  } catch {
    return [];
  }
  const named = parts.flatMap(membersOf).flatMap((part: unknown) => {
    const { openapi, proto, tls } = (part ?? {}) as { openapi?: unknown; proto?: unknown; tls?: { ca?: unknown } };
    return [openapi, proto, tls?.ca];
  });
  const outside = named.filter(
    (path): path is string => typeof path === 'string' && path.startsWith('../') && WANTED.test(path),
  );
  return [...new Set(outside)].slice(0, MAX_FILES);
}

function membersOf(value: unknown): readonly unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}
