/**
 * Whether a loss of power may have taken events from a spool that the collector already has. Under `durability: normal` events
 * are delivered from the kernel's memory; if they then never reach the disk, their numbers would be given to other events, which
 * the collector takes for those that it has and forgets. So after such a loss numbers go on far beyond all that was delivered.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from '../../identity/own/write-file.ts';

/** More than two segments can hold: older ones are synced. A skip shows as a gap at the collector. */
export const SKIP_AFTER_POWER_LOSS = 1_000_000;

const FILE = 'power.json';
const OWNER_ONLY = 0o600;

/** What was noted: the boot in which the spool was opened, and whether what it holds is on disk whatever happens. */
interface Mark {
  readonly boot: string;
  readonly synced: boolean;
}

/** The name of this boot (random(4)); empty where the system gives none. */
export function bootName(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** Notes how the spool is used from now on. Durable when it returns; done before anything is appended. */
export function writePowerMark(dir: string, mark: Mark): void {
  writeFileAtomically(join(dir, FILE), JSON.stringify(mark), OWNER_ONLY);
}

/** Whether the machine has stopped since the mark was written, with events that were not on disk. */
export function mayHaveLostPower(dir: string, boot: string): boolean {
  try {
    const mark = JSON.parse(readFileSync(join(dir, FILE), 'utf8')) as Partial<Mark>;
    return mark.synced !== true && mark.boot !== boot;
  } catch {
    // No mark: the spool is new, since the mark comes before its first event.
    return false;
  }
}
