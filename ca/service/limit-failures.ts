/**
 * Bounds what somebody without an identity can make us write: failed attestations go on record one by one only up to a rate;
 * past it further attempts are refused at once with `rate_limited`, unread. Local users are counted one by one, so that none
 * locks out the others; all who come over TCP are counted together, and so a token that is good is let through unhindered.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { Caller } from '../../identity/mtls/index.ts';

const MAX_FAILURES = 100;
const WINDOW_S = 10;

export interface FailureLimit {
  /** @throws {BehalfError} `rate_limited` */
  check(): void;
  failed(): void;
}

/** Limits by who fails; the least needed of them are forgotten together. */
const MAX_LIMITS = 1_024;

/** Gives the limit of a caller: of its uid, or of all that come over TCP, who cannot be told apart. */
export function createFailureLimits(clock: Clock): (caller: Pick<Caller, 'unix'>) => FailureLimit {
  const limits = new Map<number | null, FailureLimit>();
  return ({ unix }) => {
    const who = unix?.uid ?? null;
    let limit = limits.get(who);
    if (limit === undefined) {
      if (limits.size >= MAX_LIMITS) limits.clear();
      limit = createFailureLimit(clock);
      limits.set(who, limit);
    }
    return limit;
  };
}

function createFailureLimit(clock: Clock): FailureLimit {
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
