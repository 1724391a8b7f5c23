/**
 * The right edge of a growing tree: the last, partial tile of each level, which is all that appending needs. Memory is at most
 * 256 hashes a level. Says which tiles an append changed; whoever keeps them writes them.
 */
import { completeSubtree, TILE_WIDTH, type TilePlace } from './tiles.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from './tree-hash.ts';

/** A tile with its content. */
export interface Tile {
  readonly place: TilePlace;
  readonly bytes: Buffer;
}

export interface GrowingTree {
  readonly size: () => number;
  readonly root: () => Buffer;
  /** Adds leaves, and gives every tile of hashes that this filled or left partial, in the order to write them. */
  readonly append: (leaves: readonly Buffer[]) => Tile[];
}

/** One level's partial tile: INVARIANT: fewer than 256 hashes once an append is done. */
interface Edge {
  /** How many full tiles lie to the left. */
  full: number;
  hashes: Buffer[];
}

/** Continues a tree from the partial tiles of each level, lowest first; without any it is a new tree. */
export function growTree(edges: readonly { readonly full: number; readonly tile: Buffer }[] = []): GrowingTree {
  const levels: Edge[] = edges.map(({ full, tile }) => ({ full, hashes: hashesIn(tile) }));
  return {
    size: () => (levels[0] === undefined ? 0 : levels[0].full * TILE_WIDTH + levels[0].hashes.length),
    root: () => rootOf(levels),
    append(leaves) {
      const tiles: Tile[] = [];
      appendTo(levels, 0, leaves, tiles);
      return tiles;
    },
  };
}

function appendTo(levels: Edge[], level: number, hashes: readonly Buffer[], tiles: Tile[]): void {
  if (hashes.length === 0) return;
  levels[level] ??= { full: 0, hashes: [] };
  const edge = levels[level];
  const above: Buffer[] = [];
  for (const hash of hashes) {
    edge.hashes.push(hash);
    if (edge.hashes.length < TILE_WIDTH) continue;
    const bytes = Buffer.concat(edge.hashes);
    tiles.push({ place: { level, n: edge.full, width: TILE_WIDTH }, bytes });
    above.push(completeSubtree(bytes, 0, TILE_WIDTH));
    edge.full++;
    edge.hashes = [];
  }
  if (edge.hashes.length > 0) {
    tiles.push({ place: { level, n: edge.full, width: edge.hashes.length }, bytes: Buffer.concat(edge.hashes) });
  }
  appendTo(levels, level + 1, above, tiles);
}

/** Folds the complete subtrees of the edge from the right: MTH splits at the largest power of two, so they are the tree's left parts. */
function rootOf(levels: readonly Edge[]): Buffer {
  let root: Buffer | null = null;
  for (const { hashes } of levels) {
    const tile = Buffer.concat(hashes);
    let end = hashes.length;
    for (let count = 1; end > 0; count *= 2) {
      if ((end & count) === 0) continue;
      end -= count;
      const left = completeSubtree(tile, end, count);
      root = root === null ? left : nodeHash(left, root);
    }
  }
  return root ?? EMPTY_ROOT;
}

function hashesIn(tile: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < tile.length; at += HASH_BYTES) hashes.push(tile.subarray(at, at + HASH_BYTES));
  return hashes;
}
