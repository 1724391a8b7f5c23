/** Waits between attempts to reach the collector: doubled each time up to a limit, with jitter, so that not all come at once. */

export interface RetryDelay {
  /** The next wait in milliseconds. */
  next(): number;
  /** After a success: the next failure begins anew. */
  reset(): void;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

/** `random` gives 0 to 1, as `Math.random`. */
export function createRetryDelay(random: () => number = Math.random): RetryDelay {
  let delayMs = FIRST_RETRY_MS;
  return {
    next() {
      const jittered = delayMs * (0.5 + random() / 2);
      delayMs = Math.min(delayMs * 2, MAX_RETRY_MS);
      return jittered;
    },
    reset() {
      delayMs = FIRST_RETRY_MS;
    },
  };
}
