/**
 * Bounds what somebody without an identity can make us write: failed attestations go on record one by one only up to a rate;
 * past it further attempts are refused at once with `rate_limited`, unread.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';

const MAX_FAILURES = 100;
const WINDOW_S = 10;

export interface FailureLimit {
  /** @throws {BehalfError} `rate_limited` */
  check(): void;
  failed(): void;
}

/** One window for all callers: without an identity they cannot be told apart. */
export function createFailureLimit(clock: Clock): FailureLimit {
  let windowStartS = clock();
  let failures = 0;
  return {
    check: () => {
      const nowS = clock();
      // A clock that was set back begins a new window as well.
      if (!(nowS >= windowStartS && nowS < windowStartS + WINDOW_S)) {
        windowStartS = nowS;
        failures = 0;
      }
      if (failures >= MAX_FAILURES)
        throw new BehalfError('rate_limited', { what: 'failed attestations', windowS: WINDOW_S });
    },
    failed: () => {
      failures += 1;
    },
  };
}
