/**
 * What the C library's allocator has given out and not taken back (glibc, `mallinfo2(3)`): OpenSSL's keys and contexts, SQLite, HTTP/2
 * sessions, buffers. V8's collector sees of it only the buffers, so a leak beside it shows here and nowhere else but in the resident size.
 */
import { createRequire } from 'node:module';

export interface NativeMemory {
  /** Given out and not taken back, in every arena and in mappings of its own; bytes. */
  inUseBytes(): number;
  /** Gives back to the system every whole page that is free. */
  trim(): void;
}

interface MallInfo {
  /** In mappings of their own. */
  readonly hblkhd: number;
  /** In arenas. */
  readonly uordblks: number;
}

/** The order of `struct mallinfo2` in malloc.h. */
const MEMBERS = [
  'arena',
  'ordblks',
  'smblks',
  'hblks',
  'hblkhd',
  'usmblks',
  'fsmblks',
  'uordblks',
  'fordblks',
  'keepcost',
];

/** Null where the C library has no such figures: musl, macOS, glibc before 2.33. */
export function openNativeMemory(): NativeMemory | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const info = koffi.struct(Object.fromEntries(MEMBERS.map((name) => [name, 'size_t'])));
    const libc = koffi.load(null);
    const mallinfo2 = libc.func('mallinfo2', info, []) as unknown as () => MallInfo;
    const mallocTrim = libc.func('int malloc_trim(size_t)') as unknown as (keptBytes: number) => number;
    return {
      inUseBytes() {
        const { uordblks, hblkhd } = mallinfo2();
        return uordblks + hblkhd;
      },
      trim: () => void mallocTrim(0),
    };
  } catch {
    return null;
  }
}
