/**
 * The Merkle log over the record: brings tiles and checkpoint up to what the record holds. The record comes first and is durable
 * before anything here is written, so that a checkpoint never promises what could be lost; whatever a crash leaves undone here is
 * done by the next `catchUp`, which is also how every batch is published.
 */
import type { Logger } from 'pino';
import {
  encodeBundle,
  type GrowingTree,
  growTree,
  HASH_BYTES,
  hashesOnLevel,
  leafHash,
  type NoteSigner,
  openCheckpoint,
  parseVkey,
  type SubtreeHash,
  signCheckpoint,
  subtreesOf,
  TILE_WIDTH,
  tilesOf,
  vkeyOf,
} from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { openTileFiles, type TileFiles } from './tile-files.ts';

/** The record, as the log needs it. */
export interface EntrySource {
  readonly size: () => number;
  readonly entries: (from: number, to: number) => Buffer[];
}

export interface Log {
  /** Size of the published tree. */
  readonly size: () => number;
  /** The newest checkpoint; C2SP signed note. */
  readonly checkpoint: () => string;
  /** Publishes all that the record holds: entries, tiles, checkpoint, in that order. One call at a time. */
  readonly catchUp: () => Promise<void>;
  /** Hashes of complete subtrees of the tree of `size`, for proofs. */
  readonly subtrees: (size: number) => SubtreeHash;
}

/** Entries published with one checkpoint while catching up. */
const MOST_A_STEP = 4_096;

/**
 * Opens the log at its newest checkpoint and brings it up to the record.
 * @throws {BehalfError} `log_inconsistent` if the record no longer leads to a checkpoint that was signed
 */
export async function openLog(deps: {
  dir: string;
  source: EntrySource;
  signer: NoteSigner;
  log: Logger;
}): Promise<Log> {
  const { source, signer } = deps;
  const files = openTileFiles(deps.dir);
  let checkpoint = (await files.readCheckpoint()) ?? '';
  let publishedSize = 0;
  /** Null where memory may be ahead of the files; then it is made from them again. */
  let edge: Edge | null = null;

  async function publish({ tree, tail }: Edge, entries: readonly Buffer[]): Promise<Edge> {
    // If the process dies or the disk refuses anywhere in here, the old checkpoint stands and its tiles are as they were: full
    // tiles never change, and partial ones have names of their own. The next `catchUp` begins anew from the record.
    let [index, bundle] = [tree.size(), [...tail]];
    for (const entry of entries) {
      bundle.push(entry);
      index++;
      if (bundle.length < TILE_WIDTH) continue;
      await files.write({ level: 'entries', n: index / TILE_WIDTH - 1, width: TILE_WIDTH }, encodeBundle(bundle));
      bundle = [];
    }
    if (bundle.length > 0) {
      const n = Math.floor(index / TILE_WIDTH);
      await files.write({ level: 'entries', n, width: bundle.length }, encodeBundle(bundle));
    }
    for (const { place, bytes } of tree.append(entries.map(leafHash))) await files.write(place, bytes);
    const next = signCheckpoint(tree.size(), tree.root(), signer);
    await files.writeCheckpoint(next);
    checkpoint = next;
    publishedSize = tree.size();
    return { tree, tail: bundle };
  }

  async function catchUp(): Promise<void> {
    try {
      let at = edge ?? (await recoverEdge(files, checkpoint, deps));
      edge = null;
      while (at.tree.size() < source.size() || checkpoint === '') {
        const to = Math.min(source.size(), at.tree.size() + MOST_A_STEP);
        at = await publish(at, source.entries(at.tree.size(), to));
      }
      publishedSize = at.tree.size();
      edge = at;
    } catch (cause) {
      if (cause instanceof BehalfError && cause.code === 'log_inconsistent') throw cause;
      throw new BehalfError('audit_unavailable', { why: 'the log cannot be written' }, { cause });
    }
  }

  await catchUp();
  return {
    size: () => publishedSize,
    checkpoint: () => checkpoint,
    catchUp,
    subtrees: (size) =>
      subtreesOf(size, (place) => {
        // A partial tile of that width may never have been written: the newest one begins with the same hashes.
        const { level, n } = place;
        const newest = level === 'entries' ? publishedSize : hashesOnLevel(level, publishedSize);
        const bytes = files.readNow({ level, n, width: Math.min(TILE_WIDTH, newest - n * TILE_WIDTH) });
        if (bytes === null)
          throw new BehalfError('log_inconsistent', { place: `tile/${level} ${n}`, why: 'tile is missing' });
        return bytes.subarray(0, place.width * HASH_BYTES);
      }),
  };
}

/** What publishing goes on from: the tree's right edge, and the entries of the last, partial bundle. */
interface Edge {
  readonly tree: GrowingTree;
  readonly tail: readonly Buffer[];
}

async function recoverEdge(files: TileFiles, checkpoint: string, deps: RecoverDeps): Promise<Edge> {
  const tree = await recoverTree(files, checkpoint, deps);
  const behind = deps.source.size() - tree.size();
  if (behind > 0) deps.log.info({ entries: behind }, 'log is brought up to the record');
  return { tree, tail: deps.source.entries(tree.size() - (tree.size() % TILE_WIDTH), tree.size()) };
}

interface RecoverDeps {
  readonly source: EntrySource;
  readonly signer: NoteSigner;
  readonly log: Logger;
}

/** The tree at its checkpoint, from the tiles of its right edge; from the record where those do not lead to it. */
async function recoverTree(
  files: TileFiles,
  checkpoint: string,
  { source, signer, log }: RecoverDeps,
): Promise<GrowingTree> {
  if (checkpoint === '') return growTree();
  const signed = openCheckpoint(checkpoint, parseVkey(vkeyOf(signer)));
  if (signed.size > source.size()) {
    throw new BehalfError('log_inconsistent', {
      place: 'record',
      why: 'the record has fewer events than the checkpoint',
      size: source.size(),
      signed: signed.size,
    });
  }
  const tree = (await isWhole(files, signed.size)) ? await treeFromEdge(files, signed.size) : null;
  if (tree?.root().equals(signed.root) === true) return tree;
  log.warn({ size: signed.size }, 'tiles do not lead to the checkpoint; they are made again from the record');
  const rebuilt = growTree();
  while (rebuilt.size() < signed.size) {
    const from = rebuilt.size();
    const entries = source.entries(from, Math.min(signed.size, from + 16 * TILE_WIDTH));
    if (entries.length === 0)
      throw new BehalfError('log_inconsistent', { place: `record ${from}`, why: 'entry is missing' });
    for (const { place, bytes } of rebuilt.append(entries.map(leafHash))) await files.write(place, bytes);
    for (let at = 0; at < entries.length; at += TILE_WIDTH) {
      const bundle = entries.slice(at, at + TILE_WIDTH);
      await files.write({ level: 'entries', n: (from + at) / TILE_WIDTH, width: bundle.length }, encodeBundle(bundle));
    }
  }
  if (!rebuilt.root().equals(signed.root)) {
    throw new BehalfError('log_inconsistent', {
      place: 'record',
      why: 'the record does not lead to the checkpoint that was signed',
      size: signed.size,
    });
  }
  return rebuilt;
}

/** Whether every file is there in its length; what is in the full ones is for `verifyLog` to judge. */
async function isWhole(files: TileFiles, size: number): Promise<boolean> {
  for (const place of tilesOf(size)) {
    const bytes = await files.length(place);
    if (bytes === null || (place.level !== 'entries' && bytes < place.width * HASH_BYTES)) return false;
  }
  return true;
}

async function treeFromEdge(files: TileFiles, size: number): Promise<GrowingTree | null> {
  const edges: { full: number; tile: Buffer }[] = [];
  for (let level = 0; hashesOnLevel(level, size) > 0; level++) {
    const hashes = hashesOnLevel(level, size);
    const [full, width] = [Math.floor(hashes / TILE_WIDTH), hashes % TILE_WIDTH];
    const tile = width === 0 ? Buffer.alloc(0) : await files.read({ level, n: full, width });
    if (tile === null || tile.length !== width * HASH_BYTES) return null;
    edges.push({ full, tile });
  }
  return growTree(edges);
}
