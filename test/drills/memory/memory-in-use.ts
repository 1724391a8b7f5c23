/** How much memory a process has in use, and whether it stays flat. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface MemoryInUse {
  /** What the heap and buffers hold after a full collection, bytes. */
  readonly heldBytes: number;
  /** What the system has given to the process, bytes. */
  readonly rssBytes: number;
}

/** What may come between the middle and the end: caches and compiled code that are not at their bounds yet. */
const MAX_HELD_GROWTH_BYTES = 8 * 1024 * 1024;
/**
 * The system's figure is coarser: what was freed stays with the process for a while. Over a million transactions it went up and down
 * between 690 and 1,030 MB while 72 MB were held; half a kilobyte of native memory kept a transaction would still show.
 */
const MAX_RSS_GROWTH_BYTES = 256 * 1024 * 1024;

/** Collects what nobody holds, and measures. */
export function memoryInUse(): MemoryInUse {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heldBytes: heapUsed + external, rssBytes: rss };
}

/** What is wrong with the second half, in words, or null. */
export function growthOf(middle: MemoryInUse, end: MemoryInUse): string | null {
  const held = end.heldBytes - middle.heldBytes;
  if (held > MAX_HELD_GROWTH_BYTES) return `holds ${megabytes(held)} more at the end than in the middle`;
  const rss = end.rssBytes - middle.rssBytes;
  return rss > MAX_RSS_GROWTH_BYTES ? `takes ${megabytes(rss)} more at the end than in the middle` : null;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
