/** The flag by which commands find a mesh on this machine. */
import type { Flag } from '../command.ts';

const DEFAULT_DIR = '.behalf';

export const DIR_FLAG = {
  type: 'string',
  value: 'DIR',
  description: `Directory of the mesh, ${DEFAULT_DIR} by default [BEHALF_DIR].`,
} as const satisfies Flag;

/** The directory meant. */
export function directoryOf(given: string | undefined): string {
  return given ?? process.env['BEHALF_DIR'] ?? DEFAULT_DIR;
}
