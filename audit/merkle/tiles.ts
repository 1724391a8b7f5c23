/**
 * The tree cut into tiles (C2SP tlog-tiles, height 8): tile (level, n) holds up to 256 hashes of complete subtrees of 256^level
 * leaves, beginning at leaf n * 256^(level+1). Owns paths, widths and subtree hashes out of tiles; reading and writing files
 * is left to others.
 */
import { BehalfError } from '../../errors/index.ts';
import { HASH_BYTES, nodeHash, type SubtreeHash } from './tree-hash.ts';

const TILE_HEIGHT = 8;
export const TILE_WIDTH = 256;

/** A place in the layout: a tile of hashes, or a bundle of entries. */
export interface TilePlace {
  readonly level: number | 'entries';
  readonly n: number;
  /** 1 to 256; fewer than 256 is a partial tile. */
  readonly width: number;
}

/** The file's path under the log's folder: `tile/0/x001/x234/067` or `tile/entries/000.p/17`. */
export function tilePath({ level, n, width }: TilePlace): string {
  const groups = [String(n % 1000).padStart(3, '0')];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  }
  return `tile/${level}/${groups.join('/')}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Number of hashes on a level of tiles in the tree of that size. */
export function hashesOnLevel(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** Every place that the tree of that size consists of, hashes level by level, then entries. */
export function* tilesOf(size: number): Generator<TilePlace> {
  for (let level = 0; hashesOnLevel(level, size) > 0; level++) yield* places(level, hashesOnLevel(level, size));
  yield* places('entries', size);
}

function* places(level: number | 'entries', count: number): Generator<TilePlace> {
  for (let n = 0; n * TILE_WIDTH < count; n++) yield { level, n, width: Math.min(TILE_WIDTH, count - n * TILE_WIDTH) };
}

/** Gives a tile's bytes, `width` hashes. */
export type ReadTile = (place: TilePlace) => Buffer;

/** Subtree hashes of the tree of `size` leaves, out of its tiles. A tile is read once as long as it is among the last few. */
export function subtreesOf(size: number, readTile: ReadTile): SubtreeHash {
  const recent = new Map<string, Buffer>();
  return (height, index) => {
    const level = Math.floor(height / TILE_HEIGHT);
    const inTile = height % TILE_HEIGHT;
    const first = index * 2 ** inTile;
    const n = Math.floor(first / TILE_WIDTH);
    const width = Math.min(TILE_WIDTH, hashesOnLevel(level, size) - n * TILE_WIDTH);
    const key = `${level}/${n}`;
    const tile = recent.get(key) ?? readTile({ level, n, width });
    if (tile.length !== width * HASH_BYTES)
      throw new BehalfError('log_inconsistent', { place: key, why: 'tile has another length' });
    if (recent.size > 64) recent.clear();
    recent.set(key, tile);
    return completeSubtree(tile, first % TILE_WIDTH, 2 ** inTile);
  };
}

/** The hash over `count` (a power of two) neighbouring hashes of a tile. */
export function completeSubtree(tile: Buffer, first: number, count: number): Buffer {
  if (count === 1) return tile.subarray(first * HASH_BYTES, (first + 1) * HASH_BYTES);
  const left = completeSubtree(tile, first, count / 2);
  return nodeHash(left, completeSubtree(tile, first + count / 2, count / 2));
}

/** Entries as they stand in a bundle: each after its u16be length. */
export function encodeBundle(entries: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(entry.length);
    parts.push(length, entry);
  }
  return Buffer.concat(parts);
}

/**
 * Takes a bundle apart.
 * @throws {BehalfError} `log_inconsistent` if lengths and bytes do not fit
 */
export function parseBundle(bundle: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bundle.length) {
    const begin = at + 2;
    const end = begin <= bundle.length ? begin + bundle.readUInt16BE(at) : Number.POSITIVE_INFINITY;
    if (end > bundle.length)
      throw new BehalfError('log_inconsistent', { why: 'bundle cut short', entry: entries.length });
    entries.push(bundle.subarray(begin, end));
    at = end;
  }
  return entries;
}
