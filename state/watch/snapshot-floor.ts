/**
 * The highest snapshot number that was ever in force here, on disk: a relay, or one that was restored from a backup, could
 * else give a receiver that has just started an older snapshot, signed and still valid, and with it rights that were taken away.
 * Trusted for: that alone. Without a file, as at the very first start, any signed snapshot counts.
 */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { writeFileAtomically } from '../../identity/own/write-file.ts';

export interface SnapshotFloor {
  /** 0 before the first. */
  number(): number;
  /** Notes the number of a snapshot that is in force now. */
  raise(number: number): void;
}

const OWNER_ONLY = 0o600;

/** Opens the floor of a file; null keeps it in memory alone. */
export function openSnapshotFloor(file: string | null, log: Logger): SnapshotFloor {
  let floor = file === null ? 0 : read(file, log);
  return {
    number: () => floor,
    raise(number) {
      if (number <= floor) return;
      floor = number;
      if (file === null) return;
      try {
        // If we stop before this, the old number stands, and the worst is what it was without the file.
        writeFileAtomically(file, JSON.stringify({ snapshot: number }), OWNER_ONLY);
      } catch (error) {
        log.error({ err: error, file }, 'the number of the policy snapshot could not be kept');
      }
    },
  };
}

function read(file: string, log: Logger): number {
  try {
    const { snapshot } = JSON.parse(readFileSync(file, 'utf8')) as { snapshot?: unknown };
    if (Number.isSafeInteger(snapshot)) return snapshot as number;
    throw new RangeError('no number');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.error({ err: error, file }, 'the number of the last policy snapshot cannot be read');
    return 0;
  }
}
