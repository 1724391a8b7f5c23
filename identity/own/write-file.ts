/** Replaces files so that a reader, or a restart after a crash, sees the old content or the new, never a part. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes beside the file, syncs, renames, syncs the directory. One writer a file: the name beside it is fixed. */
export function writeFileAtomically(path: string, content: string, mode: number): void {
  const beside = `${path}.new`;
  const file = openSync(beside, 'w', mode);
  try {
    // Until all of it is written: one write may take a part only, as on a disk that is nearly full.
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
