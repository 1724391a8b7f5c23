/**
 * One process a folder. The lock is SQLite's on an empty database: the kernel drops it with the process, however that ends, and
 * it works where Node has no file locks.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';

/**
 * Locks a folder until the process ends or the returned function is called.
 * @throws {BehalfError} `data_directory_unusable` if another process has it, or nothing can be written there
 */
export function lockFolder(dir: string): () => void {
  try {
    const database = new DatabaseSync(join(dir, 'lock.sqlite'), { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
    } catch (thrown) {
      database.close();
      throw thrown;
    }
    return () => database.close();
  } catch (cause) {
    throw new BehalfError(
      'data_directory_unusable',
      { dir, why: 'in use by another process, or not writable' },
      { cause },
    );
  }
}
