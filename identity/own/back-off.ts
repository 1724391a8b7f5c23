/** Exponential back-off with full jitter: how long to wait before the next try, and a wait that an abort ends. */

/** Milliseconds; the random source gives 0 to 1. */
export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}

export interface BackOff {
  /** Milliseconds to wait before the next try; longer each time. */
  next(): number;
  /** After a success: the next wait is a first one again. */
  reset(): void;
}

const GROWTH = 2;

/** Half of each step is fixed, half is random, so that waits grow and processes do not meet. */
export function createBackOff({ firstMs, maxMs, random = Math.random }: BackOffOptions): BackOff {
  if (!(firstMs > 0 && maxMs >= firstMs)) throw new RangeError('back-off needs 0 < firstMs <= maxMs');
  let stepMs = firstMs;
  return {
    next: () => {
      const waitMs = stepMs / 2 + (random() * stepMs) / 2;
      stepMs = Math.min(maxMs, stepMs * GROWTH);
      return waitMs;
    },
    reset: () => {
      stepMs = firstMs;
    },
  };
}

/** Resolves after the time, or at once when aborted. Does not keep the process alive. */
export function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
