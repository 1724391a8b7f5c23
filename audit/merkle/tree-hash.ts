/**
 * The tree's hashing (RFC 6962 section 2.1, the same in RFC 9162 section 2.1.1) and its proofs, both made and checked. Pure: a
 * prover gets the hashes of complete subtrees from whoever keeps them.
 */
import { hash } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';

export const HASH_BYTES = 32;
const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** SHA-256 of nothing: the root of the empty tree. */
export const EMPTY_ROOT: Buffer = hash('sha256', Buffer.alloc(0), 'buffer');

/** MTH({d}) = SHA-256(0x00 || d). */
export function leafHash(entry: Buffer): Buffer {
  return hash('sha256', Buffer.concat([LEAF, entry]), 'buffer');
}

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  return hash('sha256', Buffer.concat([NODE, left, right]), 'buffer');
}

/** Hash of the complete subtree over leaves `index * 2^height` to `(index + 1) * 2^height`. */
export type SubtreeHash = (height: number, index: number) => Buffer;

/** The root of the tree of `size` leaves. */
export function rootHash(size: number, subtree: SubtreeHash): Buffer {
  return size === 0 ? EMPTY_ROOT : rangeHash(0, size, subtree);
}

/**
 * PATH(index, D[size]): the hashes that lead from a leaf to the root, lowest first (RFC 9162 section 2.1.3.1).
 * @throws {BehalfError} `not_found` if the tree of that size has no such leaf
 */
export function inclusionPath(index: number, size: number, subtree: SubtreeHash): Buffer[] {
  if (!(index >= 0 && index < size)) throw new BehalfError('not_found', { index, size });
  const path: Buffer[] = [];
  let [begin, end] = [0, size];
  while (end - begin > 1) {
    const middle = begin + split(end - begin);
    if (index < middle) {
      path.push(rangeHash(middle, end, subtree));
      end = middle;
    } else {
      path.push(rangeHash(begin, middle, subtree));
      begin = middle;
    }
  }
  return path.reverse();
}

/**
 * PROOF(from, D[to]): that the tree of `from` leaves is a prefix of that of `to` (RFC 9162 section 2.1.4.1). Empty when `from`
 * is 0 or equals `to`.
 * @throws {BehalfError} `not_found` if `from` is greater than `to`
 */
export function consistencyProof(from: number, to: number, subtree: SubtreeHash): Buffer[] {
  if (!(from >= 0 && from <= to)) throw new BehalfError('not_found', { from, to });
  if (from === 0 || from === to) return [];
  const proof: Buffer[] = [];
  let [begin, end] = [0, to];
  while (end !== from) {
    const middle = begin + split(end - begin);
    if (from <= middle) {
      proof.push(rangeHash(middle, end, subtree));
      end = middle;
    } else {
      proof.push(rangeHash(begin, middle, subtree));
      begin = middle;
    }
  }
  // The old tree itself is the first node only where the verifier does not have it already.
  if (begin !== 0) proof.push(rangeHash(begin, end, subtree));
  return proof.reverse();
}

/** Whether `leaf` is the one at `index` in the tree of `size` leaves and that root (RFC 9162 section 2.1.3.2). */
export function verifyInclusion(
  leaf: Buffer,
  index: number,
  size: number,
  path: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!isCount(index) || !isCount(size) || index >= size) return false;
  let [first, last, computed] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) return false;
    if (first % 2 === 1 || first === last) {
      computed = nodeHash(sibling, computed);
      while (first % 2 === 0 && first !== 0) [first, last] = [half(first), half(last)];
    } else {
      computed = nodeHash(computed, sibling);
    }
    [first, last] = [half(first), half(last)];
  }
  return last === 0 && computed.equals(root);
}

/** Whether the tree of `to` leaves begins with that of `from` (RFC 9162 section 2.1.4.2). The empty tree begins every tree. */
export function verifyConsistency(
  from: number,
  fromRoot: Buffer,
  to: number,
  toRoot: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!isCount(from) || !isCount(to) || from > to) return false;
  if (from === 0) return proof.length === 0 && fromRoot.equals(EMPTY_ROOT);
  if (from === to) return proof.length === 0 && fromRoot.equals(toRoot);
  const hashes = isPowerOfTwo(from) ? [fromRoot, ...proof] : [...proof];
  const start = hashes.shift();
  if (start === undefined) return false;
  let [first, last] = [from - 1, to - 1];
  while (first % 2 === 1) [first, last] = [half(first), half(last)];
  let [oldRoot, newRoot] = [start, start];
  for (const next of hashes) {
    if (last === 0) return false;
    if (first % 2 === 1 || first === last) {
      oldRoot = nodeHash(next, oldRoot);
      newRoot = nodeHash(next, newRoot);
      while (first % 2 === 0 && first !== 0) [first, last] = [half(first), half(last)];
    } else {
      newRoot = nodeHash(newRoot, next);
    }
    [first, last] = [half(first), half(last)];
  }
  return last === 0 && oldRoot.equals(fromRoot) && newRoot.equals(toRoot);
}

/** MTH(D[begin:end]) where `begin` is on a boundary of the recursion: split into complete subtrees, which the keeper knows. */
function rangeHash(begin: number, end: number, subtree: SubtreeHash): Buffer {
  const size = end - begin;
  if (isPowerOfTwo(size)) return subtree(Math.log2(size), begin / size);
  const middle = begin + split(size);
  return nodeHash(rangeHash(begin, middle, subtree), rangeHash(middle, end, subtree));
}

/** The largest power of two smaller than `size`. Arithmetic, not bit operations: sizes go to 2^53. */
function split(size: number): number {
  let power = 2 ** Math.floor(Math.log2(size));
  if (power >= size) power /= 2;
  return power;
}

function isPowerOfTwo(value: number): boolean {
  return 2 ** Math.round(Math.log2(value)) === value;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function half(value: number): number {
  return Math.floor(value / 2);
}
