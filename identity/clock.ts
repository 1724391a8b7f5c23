/**
 * The one clock rule (DESIGN section 2): how far another clock may be ahead, and how long an expired token is still
 * taken. Certificates are backdated instead, by `CERTIFICATE_BACKDATE_S`.
 */

/** Seconds since the epoch, possibly fractional. Passed in wherever time is judged, so that tests own it. */
export type Clock = () => number;

/** How times of tokens are judged, in seconds. */
export interface ClockRule {
  /** A token whose `iat` or `nbf` lies at most this far ahead of our clock is taken. */
  readonly aheadS: number;
  /** An expired token is taken for this long more; for verifying only, never for signing. */
  readonly graceS: number;
}

export const DEFAULT_CLOCK_RULE: ClockRule = { aheadS: 30, graceS: 5 };

/** Certificates and WITs say they began this long before they were made, for receivers whose clock is behind. */
export const CERTIFICATE_BACKDATE_S = 60;

/** The machine's wall clock. */
export const systemClock: Clock = () => Date.now() / 1000;
