/** Random choices from a seed: the same each time, and each case from its own name. */
import { createHash } from 'node:crypto';

export interface Random {
  /** From 0 to n - 1. */
  below(n: number): number;
  chance(p: number): boolean;
  of<T>(list: readonly T[]): T;
}

export function createRandom(seed: string): Random {
  let state = createHash('sha256').update(seed).digest().readUInt32BE(0);
  /** mulberry32 */
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  return {
    below: (n) => Math.floor(next() * n),
    chance: (p) => next() < p,
    of: (list) => list[Math.floor(next() * list.length)] as (typeof list)[number],
  };
}
