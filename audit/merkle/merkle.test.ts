import { expect, test } from 'vitest';
import {
  consistencyProof,
  EMPTY_ROOT,
  encodeBundle,
  growTree,
  hashesOnLevel,
  inclusionPath,
  leafHash,
  nodeHash,
  parseBundle,
  rootHash,
  type SubtreeHash,
  subtreesOf,
  type Tile,
  tilePath,
  tilesOf,
  verifyConsistency,
  verifyInclusion,
} from './index.ts';

/** Crosses the widths at which levels begin (256) and a ragged right edge; the larger ones are taken as samples. */
const EVERY_SIZE = 300;

/** MTH by its definition in RFC 6962 section 2.1: slow and obvious. */
function referenceRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(referenceRoot(leaves.slice(0, k)), referenceRoot(leaves.slice(k)));
}

/** A tree kept as its tiles, as files would keep them. */
function keptTree(): {
  append: (leaves: Buffer[]) => void;
  root: () => Buffer;
  size: () => number;
  subtrees: (size: number) => ReturnType<typeof subtreesOf>;
} {
  const kept = new Map<string, Buffer>();
  const tree = growTree();
  return {
    size: tree.size,
    root: tree.root,
    append: (leaves) => {
      for (const { place, bytes } of tree.append(leaves) as Tile[]) kept.set(`${place.level}/${place.n}`, bytes);
    },
    subtrees: (size) => subtreesOf(size, ({ level, n, width }) => kept.get(`${level}/${n}`)!.subarray(0, width * 32)),
  };
}

/** Complete subtrees never change, so that later sizes may use what earlier ones computed. */
function remembered(subtrees: SubtreeHash, known: Map<string, Buffer>): SubtreeHash {
  return (height, index) => {
    const key = `${height}/${index}`;
    const hash = known.get(key) ?? subtrees(height, index);
    known.set(key, hash);
    return hash;
  };
}

const leaves = Array.from({ length: 70_000 }, (_, index) => leafHash(Buffer.from(`entry ${index}`)));

test('roots and paths are those published for the RFC 6962 test tree', () => {
  const entries = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const roots = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];
  const tree = keptTree();
  for (const [index, hex] of entries.entries()) {
    tree.append([leafHash(Buffer.from(hex, 'hex'))]);
    expect(tree.root().toString('hex')).toBe(roots[index]);
  }
  expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(inclusionPath(0, 8, tree.subtrees(8)).map((hash) => hash.toString('hex'))).toEqual([
    '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  ]);
});

test('every inclusion and consistency proof of every size verifies, and the roots are the reference’s', () => {
  const roots: Buffer[] = [];
  const known = new Map<string, Buffer>();
  const tree = keptTree();
  for (let size = 0; size <= EVERY_SIZE; size++) {
    if (size > 0) tree.append([leaves[size - 1]!]);
    const root = referenceRoot(leaves.slice(0, size));
    roots.push(root);
    expect(tree.root().equals(root)).toBe(true);
    const subtrees = remembered(tree.subtrees(size), known);
    expect(rootHash(size, subtrees).equals(root)).toBe(true);
    for (let index = 0; index < size; index++) {
      if (!verifyInclusion(leaves[index]!, index, size, inclusionPath(index, size, subtrees), root))
        throw new Error(`inclusion ${index} in ${size}`);
    }
    for (let from = 0; from <= size; from++) {
      if (!verifyConsistency(from, roots[from]!, size, root, consistencyProof(from, size, subtrees)))
        throw new Error(`consistency ${from} to ${size}`);
    }
  }
});

test('a tree of three levels of tiles, grown in uneven steps, proves what its leaves say', () => {
  const tree = keptTree();
  const sizes = [1, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 70_000];
  const roots = new Map<number, Buffer>();
  for (const size of sizes) {
    tree.append(leaves.slice(tree.size(), size));
    roots.set(size, tree.root());
    expect(tree.root().equals(referenceRoot(leaves.slice(0, size)))).toBe(true);
  }
  const subtrees = tree.subtrees(70_000);
  for (const index of [0, 1, 255, 256, 65_535, 65_536, 69_999]) {
    expect(verifyInclusion(leaves[index]!, index, 70_000, inclusionPath(index, 70_000, subtrees), tree.root())).toBe(
      true,
    );
  }
  for (const [from, root] of roots) {
    expect(verifyConsistency(from, root, 70_000, tree.root(), consistencyProof(from, 70_000, subtrees))).toBe(true);
  }
});

test('a tree that is continued from its edge grows as the one that never stopped', () => {
  for (const size of [1, 256, 300, 65_536, 66_000]) {
    const through = growTree();
    const tiles = new Map<string, Buffer>();
    for (const { place, bytes } of through.append(leaves.slice(0, size))) tiles.set(`${place.level}/${place.n}`, bytes);
    const edges = [];
    for (let level = 0; hashesOnLevel(level, size) > 0; level++) {
      const full = Math.floor(hashesOnLevel(level, size) / 256);
      const width = hashesOnLevel(level, size) % 256;
      edges.push({ full, tile: width === 0 ? Buffer.alloc(0) : tiles.get(`${level}/${full}`)! });
    }
    const continued = growTree(edges);
    expect(continued.size()).toBe(size);
    through.append(leaves.slice(size, size + 700));
    continued.append(leaves.slice(size, size + 700));
    expect(continued.root().equals(through.root())).toBe(true);
  }
});

test('a proof with any byte, hash, index or size changed is refused', () => {
  const tree = keptTree();
  for (let size = 1; size <= 40; size++) {
    tree.append([leaves[size - 1]!]);
    const [subtrees, root] = [tree.subtrees(size), tree.root()];
    for (let index = 0; index < size; index++) {
      const path = inclusionPath(index, size, subtrees);
      const leaf = leaves[index]!;
      expect(verifyInclusion(leaf, index, size, [...path, leaf], root)).toBe(false);
      if (path.length > 0) expect(verifyInclusion(leaf, index, size, path.slice(1), root)).toBe(false);
      expect(verifyInclusion(leaf, index + 1, size, path, root)).toBe(false);
      for (const at of path.keys()) {
        const changed = path.map((hash) => Buffer.from(hash));
        changed[at]![at % 32]! ^= 1;
        expect(verifyInclusion(leaf, index, size, changed, root)).toBe(false);
      }
    }
    for (let from = 1; from < size; from++) {
      const proof = consistencyProof(from, size, subtrees);
      const old = referenceRoot(leaves.slice(0, from));
      expect(verifyConsistency(from, old, size, root, proof.slice(1))).toBe(false);
      expect(verifyConsistency(from, root, size, root, proof)).toBe(false);
      expect(verifyConsistency(from, old, size, old, proof)).toBe(false);
      for (const at of proof.keys()) {
        const changed = proof.map((hash) => Buffer.from(hash));
        changed[at]![at % 32]! ^= 1;
        expect(verifyConsistency(from, old, size, root, changed)).toBe(false);
      }
    }
  }
  expect(verifyInclusion(leaves[0]!, 0.5, 2, [], leaves[0]!)).toBe(false);
  expect(verifyInclusion(leaves[0]!, Number.NaN, 1, [], leaves[0]!)).toBe(false);
});

test('paths and widths of tiles are those of tlog-tiles', () => {
  expect(tilePath({ level: 0, n: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067');
  expect(tilePath({ level: 1, n: 0, width: 17 })).toBe('tile/1/000.p/17');
  expect(tilePath({ level: 'entries', n: 999, width: 256 })).toBe('tile/entries/999');
  expect(tilePath({ level: 'entries', n: 1000, width: 1 })).toBe('tile/entries/x001/000.p/1');
  expect([...tilesOf(70_000)].filter(({ level }) => level === 1).map(tilePath)).toEqual([
    'tile/1/000',
    'tile/1/001.p/17',
  ]);
  expect([...tilesOf(0)]).toEqual([]);
  expect([...tilesOf(65_536)].filter(({ level }) => level === 2).map(tilePath)).toEqual(['tile/2/000.p/1']);
});

test('a bundle gives back its entries, and a cut one is log_inconsistent', () => {
  const entries = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(65_535, 7)];
  const bundle = encodeBundle(entries);
  expect(parseBundle(bundle)).toEqual(entries);
  for (const cut of [1, 3, bundle.length - 1])
    expect(() => parseBundle(bundle.subarray(0, cut))).toThrow(/log_inconsistent/);
});
