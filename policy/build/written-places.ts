/** Refusals of a snapshot told as refusals of the folder that it was made of: file, line, and the keys that a person wrote. */
import { BehalfError } from '../../errors/index.ts';
import { schemaWith } from '../model/base-schema.ts';
import { placeInFile, type WrittenPolicy } from './cedar-files.ts';
import type { MeshFile } from './mesh-file.ts';
import { inFile } from './yaml-file.ts';

const POLICY_PLACE = 'cedar.policies.';
/** Lines of the whole schema before the folder's own declarations. */
const SCHEMA_LINES = linesIn(schemaWith('\0').split('\0', 1)[0] ?? '');

/** What a snapshot was made of. */
export interface Written {
  readonly mesh: MeshFile;
  readonly policies: readonly WrittenPolicy[];
  readonly ownSchema: { readonly file: string; readonly text: string } | null;
}

/**
 * Runs what judges the snapshot.
 * @throws {BehalfError} what it refuses with, at its written place where that is known
 */
export function atWrittenPlaces<T>({ mesh, policies, ownSchema }: Written, judge: () => T): T {
  try {
    return judge();
  } catch (cause) {
    if (!(cause instanceof BehalfError) || cause.code !== 'snapshot_invalid') throw cause;
    const { at, why = '', offset, ...detail } = cause.detail;
    if (typeof at !== 'string') throw cause;
    if (at.startsWith(POLICY_PLACE)) {
      const policy = policies.find(({ id }) => id === at.slice(POLICY_PLACE.length));
      if (policy === undefined) throw cause;
      const place = placeInFile(policy, typeof offset === 'number' ? offset : 0);
      throw new BehalfError('snapshot_invalid', { at: place, policy: policy.id, why, ...detail }, { cause });
    }
    if (at === 'cedar.schema' && ownSchema !== null) {
      const { file, text } = ownSchema;
      // A declaration that does not end is noticed after the file's end.
      const line = typeof offset === 'number' ? schemaLine(text, offset) : null;
      throw new BehalfError(
        'snapshot_invalid',
        { at: line === null ? file : `${file}:${line}`, why, ...detail },
        { cause },
      );
    }
    if (/^(cedar|document)/.test(at)) throw cause;
    return inFile(mesh.place, () => {
      throw new BehalfError('snapshot_invalid', { ...cause.detail, at: keyOf(at, mesh) }, { cause });
    });
  }
}

/** Null for what stands in the shared model, which the folder's declarations then collide with. */
function schemaLine(own: string, byteOffset: number): number | null {
  const before = Buffer.from(schemaWith(own)).subarray(0, byteOffset).toString('utf8');
  const line = linesIn(before) - SCHEMA_LINES + 1;
  return line < 1 ? null : Math.min(line, linesIn(own.trimEnd()));
}

function linesIn(text: string): number {
  return text.split('\n').length;
}

/** `edges[1].narrow_to` of the snapshot as `edges[1].narrowTo` of `mesh.yaml`, `services.<id>` as `services.<name>`. */
function keyOf(at: string, mesh: MeshFile): string {
  if (at === 'valid_until') return 'settings.validForS';
  for (const member of ['services', 'workloads'] as const) {
    for (const { id, name } of mesh[member]) {
      const place = `${member}.${id}`;
      if (at.startsWith(place) && ['', '.', '['].includes(at.charAt(place.length)))
        return `${member}.${name}${asWritten(at.slice(place.length))}`;
    }
  }
  return at.startsWith('scopes.') ? at : asWritten(at);
}

function asWritten(members: string): string {
  return members
    .replace('entry_ceiling', 'entry.ceiling')
    .replace(/^((?:exits\.[a-z0-9.-]+)?\.routes\[\d+\])\.template$/, '$1.path')
    .replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
