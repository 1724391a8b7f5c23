/** Reads a copied log from a folder. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LogFolder } from './verify-log.ts';

/** What is not there is null or empty; what cannot be read throws. */
export function readLogFolder(dir: string): LogFolder {
  return {
    read: (path) => orMissing(() => readFileSync(join(dir, path)), null),
    list: (path) => orMissing<readonly string[]>(() => readdirSync(join(dir, path)), []),
  };
}

function orMissing<T>(read: () => T, missing: T): T {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return missing;
    throw error;
  }
}
