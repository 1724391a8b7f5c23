/** Refusals of a snapshot told as refusals of the folder that it was made of: file, line, and the keys that a person wrote. */
import { BehalfError } from '../../errors/index.ts';
import { placeInFile, type WrittenPolicy } from './cedar-files.ts';
import type { MeshFile } from './mesh-file.ts';
import { inFile } from './yaml-file.ts';

const POLICY_PLACE = 'cedar.policies.';

/**
 * Runs what judges the snapshot.
 * @throws {BehalfError} what it refuses with, at its written place where that is known
 */
export function atWrittenPlaces<T>(mesh: MeshFile, policies: readonly WrittenPolicy[], judge: () => T): T {
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
    if (/^(cedar|document)/.test(at)) throw cause;
    return inFile(mesh.place, () => {
      throw new BehalfError('snapshot_invalid', { ...cause.detail, at: keyOf(at, mesh) }, { cause });
    });
  }
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
    .replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
