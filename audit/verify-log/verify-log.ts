/**
 * The offline check of a copied log: a checkpoint, the log's public key and a folder of tiles in, a verdict out. Pure over a
 * function that reads a file of the folder (C2SP tlog-tiles); asks nobody, and believes nothing but the key.
 */
import { codeOf } from '../../errors/index.ts';
import {
  type Checkpoint,
  growTree,
  HASH_BYTES,
  inclusionPath,
  leafHash,
  openCheckpoint,
  parseBundle,
  parseVkey,
  subtreesOf,
  TILE_WIDTH,
  type Tile,
  type TilePlace,
  tilePath,
  verifyInclusion,
} from '../merkle/index.ts';

/** A folder with a copy of a log. Paths are below it. */
export interface LogFolder {
  /** A file; null where there is none. */
  readonly read: (path: string) => Buffer | null;
  /** Names in a folder; none where there is no such folder. */
  readonly list: (path: string) => readonly string[];
}

/** Where the copy first differs from what was signed, and how. */
export interface Difference {
  readonly ok: false;
  /** `checkpoint`, `root`, or a file, with the entry or hash in it: `tile/0/003 hash 17`. */
  readonly place: string;
  readonly expected: string;
  readonly found: string;
}

export type LogVerdict = ({ readonly ok: true } & Checkpoint) | Difference;

export interface LogCopy {
  /** The signed note. */
  readonly checkpoint: string;
  /** The log's C2SP verifier key. */
  readonly vkey: string;
  readonly folder: LogFolder;
}

/** An entry, proved or not. */
export interface InclusionVerdict {
  readonly index: number;
  readonly ok: boolean;
  /** The leaf's hash; null where the entry is missing. */
  readonly leaf: Buffer | null;
  readonly entry: Buffer | null;
}

/**
 * Builds the tree anew from the entries and compares every tile, then the root. Names the first place that differs.
 * @throws {BehalfError} `key_unusable` for a malformed vkey
 */
export function verifyLog({ checkpoint, vkey, folder }: LogCopy): LogVerdict {
  const opened = open(checkpoint, vkey);
  if (!opened.ok) return opened;
  const { size, root } = opened;
  const tree = growTree();
  /** The last tile of each level, so far. */
  const newest = new Map<Tile['place']['level'], Tile>();
  let first: Difference | null = null;
  /** Of the partial bundles that were outgrown: they can be judged only by entries that are known to be right. */
  let outgrown: Difference | null = null;
  for (let n = 0; n * TILE_WIDTH < size; n++) {
    const width = Math.min(TILE_WIDTH, size - n * TILE_WIDTH);
    const entries = readBundle(folder, { level: 'entries', n, width });
    if (!Array.isArray(entries)) return entries;
    outgrown ??= compareOlderBundles(folder, n, entries);
    for (const tile of tree.append(entries.map(leafHash))) {
      if (tile.place.width === TILE_WIDTH) first ??= compareTile(folder, tile);
      // INVARIANT: a later tile of the level takes its place, so that at the end these are the partial tiles of the tree.
      newest.set(tile.place.level, tile);
    }
  }
  for (const tile of newest.values()) if (tile.place.width < TILE_WIDTH) first ??= compareTile(folder, tile);
  const isRoot = tree.root().equals(root);
  if (first !== null) return isRoot ? first : blameEntry(first);
  if (isRoot && outgrown !== null) return outgrown;
  if (!isRoot) return { ok: false, place: 'root', expected: root.toString('hex'), found: tree.root().toString('hex') };
  return opened;
}

/**
 * Proves single entries against the checkpoint, by tiles and bundles, without reading the whole log.
 * @throws {BehalfError} `key_unusable` for a malformed vkey, `statement_untrusted` or `log_inconsistent` for the checkpoint
 */
export function verifyEntries({ checkpoint, vkey, folder }: LogCopy, indices: readonly number[]): InclusionVerdict[] {
  const { size, root } = openCheckpoint(checkpoint, parseVkey(vkey));
  const subtrees = subtreesOf(size, (place) => readPlace(folder, place) ?? Buffer.alloc(0));
  return indices.map((index) => {
    if (!Number.isSafeInteger(index) || index < 0 || index >= size)
      return { index, ok: false, leaf: null, entry: null };
    const n = Math.floor(index / TILE_WIDTH);
    const entries = readBundle(folder, { level: 'entries', n, width: Math.min(TILE_WIDTH, size - n * TILE_WIDTH) });
    const entry = Array.isArray(entries) ? (entries[index % TILE_WIDTH] ?? null) : null;
    if (entry === null) return { index, ok: false, leaf: null, entry: null };
    const leaf = leafHash(entry);
    return { index, ok: isIncluded(leaf, index, size, root, subtrees), leaf, entry };
  });
}

function isIncluded(
  leaf: Buffer,
  index: number,
  size: number,
  root: Buffer,
  subtrees: ReturnType<typeof subtreesOf>,
): boolean {
  try {
    return verifyInclusion(leaf, index, size, inclusionPath(index, size, subtrees), root);
  } catch (error) {
    // A tile that is missing or too short proves nothing.
    if (codeOf(error) === 'log_inconsistent') return false;
    throw error;
  }
}

function open(checkpoint: string, vkey: string): LogVerdict {
  const verifier = parseVkey(vkey);
  try {
    return { ok: true, ...openCheckpoint(checkpoint, verifier) };
  } catch (error) {
    const found = error instanceof Error ? error.message : codeOf(error);
    return { ok: false, place: 'checkpoint', expected: `a checkpoint signed by ${verifier.name}`, found };
  }
}

/** The tree that the entries make does not have the signed root: then not the tile is wrong, but the entry under it. */
function blameEntry(difference: Difference): Difference {
  const match = /^tile\/0\/(.*) hash (\d+)$/.exec(difference.place);
  if (match === null) return difference;
  const [, path = '', index = ''] = match;
  return {
    ...difference,
    place: `tile/entries/${path} entry ${index}`,
    expected: `leaf ${difference.found}`,
    found: `leaf ${difference.expected}`,
  };
}

/** Compares a tile, and the partial ones that it grew from where they are still there: somebody may hold a checkpoint over them. */
function compareTile(folder: LogFolder, { place, bytes }: Tile): Difference | null {
  const path = tilePath(place);
  const found = readPlace(folder, place);
  let first = found === null ? missing(path, bytes.length) : compareHashes(path, bytes, found);
  for (const width of olderWidths(folder, place)) {
    const older = { ...place, width };
    const expected = bytes.subarray(0, width * HASH_BYTES);
    first ??= compareHashes(tilePath(older), expected, folder.read(tilePath(older)) ?? Buffer.alloc(0));
  }
  return first;
}

function compareHashes(path: string, expected: Buffer, found: Buffer): Difference | null {
  if (found.length !== expected.length) {
    return { ok: false, place: path, expected: `${expected.length} bytes`, found: `${found.length} bytes` };
  }
  for (let at = 0; at < expected.length; at += HASH_BYTES) {
    const [right, other] = [expected.subarray(at, at + HASH_BYTES), found.subarray(at, at + HASH_BYTES)];
    if (right.equals(other)) continue;
    return {
      ok: false,
      place: `${path} hash ${at / HASH_BYTES}`,
      expected: right.toString('hex'),
      found: other.toString('hex'),
    };
  }
  return null;
}

function compareOlderBundles(folder: LogFolder, n: number, entries: readonly Buffer[]): Difference | null {
  for (const width of olderWidths(folder, { level: 'entries', n, width: entries.length })) {
    const place: TilePlace = { level: 'entries', n, width };
    const older = readBundle(folder, place);
    if (!Array.isArray(older)) return older;
    const at = older.findIndex((entry, index) => !entry.equals(entries[index] ?? Buffer.alloc(0)));
    if (at < 0) continue;
    const [right, other] = [entries[at] ?? Buffer.alloc(0), older[at] ?? Buffer.alloc(0)];
    const expected = `leaf ${leafHash(right).toString('hex')}`;
    return {
      ok: false,
      place: `${tilePath(place)} entry ${at}`,
      expected,
      found: `leaf ${leafHash(other).toString('hex')}`,
    };
  }
  return null;
}

/** Widths of partial tiles at a place that are narrower than it. */
function olderWidths(folder: LogFolder, place: TilePlace): number[] {
  const names = folder.list(`${tilePath({ ...place, width: TILE_WIDTH })}.p`);
  return names.map(Number).filter((width) => Number.isInteger(width) && width > 0 && width < place.width);
}

function missing(path: string, bytes: number): Difference {
  return { ok: false, place: path, expected: `${bytes} bytes`, found: 'no such file' };
}

function readBundle(folder: LogFolder, place: TilePlace): Buffer[] | Difference {
  const path = tilePath(place);
  const bytes = readPlace(folder, place);
  if (bytes === null) return { ok: false, place: path, expected: `${place.width} entries`, found: 'no such file' };
  let entries: Buffer[];
  try {
    entries = parseBundle(bytes);
  } catch {
    return { ok: false, place: path, expected: `${place.width} entries`, found: 'lengths that do not fit' };
  }
  if (entries.length < place.width)
    return { ok: false, place: path, expected: `${place.width} entries`, found: `${entries.length} entries` };
  return entries.slice(0, place.width);
}

/** A partial tile may have been replaced by the full one, which begins with it. */
function readPlace(folder: LogFolder, place: TilePlace): Buffer | null {
  const exact = folder.read(tilePath(place));
  if (exact !== null || place.width === TILE_WIDTH) return exact;
  const full = folder.read(tilePath({ ...place, width: TILE_WIDTH }));
  return full === null || place.level === 'entries' ? full : full.subarray(0, place.width * HASH_BYTES);
}
