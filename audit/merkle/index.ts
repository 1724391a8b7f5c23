export { type Checkpoint, openCheckpoint, signCheckpoint } from './checkpoint.ts';
export { type GrowingTree, growTree, type Tile } from './growing-tree.ts';
export { type NoteSigner, type NoteVerifier, openNote, parseVkey, signNote, vkeyOf } from './signed-note.ts';
export {
  encodeBundle,
  hashesOnLevel,
  parseBundle,
  type ReadTile,
  subtreesOf,
  TILE_WIDTH,
  type TilePlace,
  tilePath,
  tilesOf,
} from './tiles.ts';
export {
  consistencyProof,
  EMPTY_ROOT,
  HASH_BYTES,
  inclusionPath,
  leafHash,
  nodeHash,
  rootHash,
  type SubtreeHash,
  verifyConsistency,
  verifyInclusion,
} from './tree-hash.ts';
