/** Random bytes for handles and ids: drawn from the system many at once, as a call for 16 costs nearly as much as one for 4,096. */
import { randomBytes } from 'node:crypto';

const POOL_BYTES = 4_096;

/** Gives slices of a pool, each once. INVARIANT: nobody writes into them. */
export function createRandomPool(): (bytes: number) => Buffer {
  let pool = Buffer.alloc(0);
  let at = 0;
  return (bytes) => {
    if (at + bytes > pool.length) {
      pool = randomBytes(POOL_BYTES);
      at = 0;
    }
    at += bytes;
    return pool.subarray(at - bytes, at);
  };
}
