/**
 * How long the machine slept. The monotonic clock stands still meanwhile (clock_gettime(2), CLOCK_MONOTONIC), so that live state
 * would look as fresh after a night as it was before; the time since boot goes on, and unlike the wall clock nobody sets it.
 */

/** Milliseconds since boot, sleep included, and without it. */
export interface SleepClock {
  monotonicMs(): number;
  bootMs(): number;
}

export interface SleepWatch {
  /** Looks anew. */
  look(): void;
  /** Milliseconds slept since the beginning, as of the last look. */
  sleptMs(): number;
}

/** Both clocks are read one after the other, and one of them is coarse: less than this is no sleep. */
const LEAST_SLEEP_MS = 1_000;

export function createSleepWatch(clock: SleepClock): SleepWatch {
  const differenceMs = (): number => clock.bootMs() - clock.monotonicMs();
  const atStartMs = differenceMs();
  let sleptMs = 0;
  return {
    look() {
      const nowMs = differenceMs() - atStartMs;
      if (nowMs - sleptMs >= LEAST_SLEEP_MS) sleptMs = nowMs;
    },
    sleptMs: () => sleptMs,
  };
}
