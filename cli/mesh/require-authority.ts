/** For commands that need the authority, which a mesh of mode `mtls` does not have. */
import { BehalfError } from '../../errors/index.ts';
import type { MeshFile } from './mesh-file.ts';

/** The authority of a mesh. @throws {BehalfError} `not_found` */
export function requireAuthority({ authority }: MeshFile): NonNullable<MeshFile['authority']> {
  if (authority === null)
    throw new BehalfError('not_found', { why: 'this mesh runs without an authority (--mode mtls)' });
  return authority;
}
