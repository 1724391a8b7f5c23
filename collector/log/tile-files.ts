/**
 * The log's files, in the layout of C2SP tlog-tiles: anyone may copy the folder and verify it without this program.
 *
 * Trusted for: nothing. What is here can be made again from the record; a reader checks it against a signed checkpoint.
 */
import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HASH_BYTES, TILE_WIDTH, type TilePlace, tilePath } from '../../audit/merkle/index.ts';

const CHECKPOINT = 'checkpoint';

export interface TileFiles {
  /** A tile's bytes, also where a wider one has taken its place; null where there is none. */
  readonly read: (place: TilePlace) => Promise<Buffer | null>;
  /** The same, at once: for proofs. */
  readonly readNow: (place: TilePlace) => Buffer | null;
  /** A tile's length in bytes, by the same rule; null where there is none. */
  readonly length: (place: TilePlace) => Promise<number | null>;
  /** Puts a tile in place as a whole; a full one is synced, and partial ones of the tile before it are removed. One at a time. */
  readonly write: (place: TilePlace, bytes: Buffer) => Promise<void>;
  readonly readCheckpoint: () => Promise<string | null>;
  readonly writeCheckpoint: (checkpoint: string) => Promise<void>;
}

export function openTileFiles(dir: string): TileFiles {
  /** Beside the log's folder, so that a copy of that never meets a half-written file. */
  const draft = `${dir}.draft`;
  const made = new Set<string>();

  async function put(path: string, bytes: Buffer | string, durable: boolean): Promise<void> {
    const folder = dirname(path);
    if (made.size > 1_000) made.clear();
    if (!made.has(folder)) await mkdir(folder, { recursive: true, mode: 0o755 });
    made.add(folder);
    // The file comes into its place whole: if the process dies before the rename, the old one stands, and the next start makes
    // this one again from the record.
    const file = await open(draft, 'w', 0o644);
    try {
      await file.writeFile(bytes);
      if (durable) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  }

  const pathOf = (place: TilePlace): string => join(dir, tilePath(place));
  return {
    async read(place) {
      return (
        (await readIfThere(pathOf(place))) ?? cutTo(place, await readIfThere(pathOf({ ...place, width: TILE_WIDTH })))
      );
    },
    readNow(place) {
      return readNowIfThere(pathOf(place)) ?? cutTo(place, readNowIfThere(pathOf({ ...place, width: TILE_WIDTH })));
    },
    async length(place) {
      return (await lengthIfThere(pathOf(place))) ?? (await lengthIfThere(pathOf({ ...place, width: TILE_WIDTH })));
    },
    async write(place, bytes) {
      const isFull = place.width === TILE_WIDTH;
      await put(pathOf(place), bytes, isFull);
      if (!isFull || place.n === 0) return;
      // Those of the tile before are of no more use: a reader finds the same bytes at the beginning of the full one. Those of
      // this tile stay until the next is full, for whoever is copying the folder now.
      const before = `${pathOf({ ...place, n: place.n - 1 })}.p`;
      await rm(before, { recursive: true, force: true });
      made.delete(before);
    },
    async readCheckpoint() {
      return (await readIfThere(join(dir, CHECKPOINT)))?.toString() ?? null;
    },
    writeCheckpoint: (checkpoint) => put(join(dir, CHECKPOINT), checkpoint, true),
  };
}

/** The beginning of a full tile stands for a partial one. Bundles have no fixed width; readers take the entries they want. */
function cutTo(place: TilePlace, full: Buffer | null): Buffer | null {
  return full === null || place.level === 'entries' ? full : full.subarray(0, place.width * HASH_BYTES);
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    return nullIfMissing(error);
  }
}

async function lengthIfThere(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    return nullIfMissing(error);
  }
}

function readNowIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    return nullIfMissing(error);
  }
}

function nullIfMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}
