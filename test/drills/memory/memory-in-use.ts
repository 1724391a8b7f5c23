/**
 * How much memory a process has in use, and whether it stays flat. What is in use is known exactly: what V8 holds after a collection, and
 * what the C library's allocator has given out. The resident size is neither: it is what the process once needed for itself and its garbage.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openNativeMemory } from './native-memory.ts';

export interface MemoryInUse {
  /** What the heap and buffers hold after a full collection, bytes. */
  readonly heldBytes: number;
  /** What native code holds then, buffers again among it; null where the C library does not tell. */
  readonly nativeBytes: number | null;
  /** What the system has given to the process, once free pages are back with it where the C library can do that; bytes. */
  readonly rssBytes: number;
}

const MIB = 1024 * 1024;
/** What may come between the middle and the end: caches and compiled code that are not at their bounds yet. */
const MAX_HELD_GROWTH_BYTES = 8 * MIB;
/** The same for native memory: over half a million transactions 17 bytes each. A key that is kept is over 2,000, of which V8 sees 70. */
const MAX_NATIVE_GROWTH_BYTES = 8 * MIB;
/**
 * Beside both it has pages that are free in part, and what is mapped past the allocator: WebAssembly, code. Seen: 195 MB after 40,000
 * transactions, 188 after 200,000, 192 after 400,000.
 */
const MAX_RSS_GROWTH_BYTES = 32 * MIB;
/** Where free pages cannot be given back: garbage of the busiest moment stays, several hundred megabytes that come and go. */
const MAX_COARSE_RSS_GROWTH_BYTES = 256 * MIB;
/** Any other collection leaves freed pages in a pool of V8's own. */
const LAST_RESORT = { type: 'major', execution: 'sync', flavor: 'last-resort' };
const native = openNativeMemory();

/** Collects what nobody holds, gives back what is free, and measures. */
export function memoryInUse(): MemoryInUse {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (how: object) => void;
  // The second ends what the first has begun: buffers are freed beside it.
  collect(LAST_RESORT);
  collect(LAST_RESORT);
  const nativeBytes = native?.inUseBytes() ?? null;
  native?.trim();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heldBytes: heapUsed + external, nativeBytes, rssBytes: rss };
}

/** What grows in the second half, in words; empty where it is flat. */
export function growthOf(middle: MemoryInUse, end: MemoryInUse): readonly string[] {
  const growths = [
    { what: 'held', bytes: end.heldBytes - middle.heldBytes, most: MAX_HELD_GROWTH_BYTES },
    { what: 'native', bytes: (end.nativeBytes ?? 0) - (middle.nativeBytes ?? 0), most: MAX_NATIVE_GROWTH_BYTES },
    {
      what: 'resident',
      bytes: end.rssBytes - middle.rssBytes,
      most: end.nativeBytes === null ? MAX_COARSE_RSS_GROWTH_BYTES : MAX_RSS_GROWTH_BYTES,
    },
  ];
  return growths
    .filter(({ bytes, most }) => bytes > most)
    .map(({ what, bytes }) => `${(bytes / MIB).toFixed(1)} MiB more ${what} at the end than in the middle`);
}
