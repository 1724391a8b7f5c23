/** Reads a policy folder (`policy/build/`) from disk. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import type { PolicyFiles } from './plan.ts';

/** More than any policy has; a guard against the wrong folder. */
const MAX_FILES = 500;
const MAX_FILE_BYTES = 1_048_576;
const WANTED = /\.(ya?ml|json|cedar|cedarschema|proto)$/;

/**
 * The texts of a policy folder by their path within it.
 * @throws {BehalfError} `snapshot_invalid` where it cannot be read or is no policy folder
 */
export function readPolicyFolder(folder: string): PolicyFiles {
  try {
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && WANTED.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    if (paths.length > MAX_FILES)
      throw new BehalfError('snapshot_invalid', { at: folder, why: `has more than ${MAX_FILES} files` });
    return Object.fromEntries(paths.map((path) => [relative(folder, path).split(sep).join('/'), readText(path)]));
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
