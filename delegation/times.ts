/** Times of roots and links (WIRE.md section 3, step 3). Conditions state what must hold, so that no odd value passes. */
import { BehalfError, type ErrorCode } from '../errors/index.ts';
import type { ClockRule } from '../identity/clock.ts';

/** Our clock, the rule, and how far the peer's clock was measured to be ahead, for the error only. Seconds. */
export interface TimeJudge {
  readonly nowS: number;
  readonly clock: ClockRule;
  readonly skewS: number | null;
}

/** `0 < exp - iat <= maxS`. One clock wrote both, so there is no leeway. @throws {BehalfError} `delegation_malformed` */
export function checkLife(iat: number, exp: number, maxS: number, object: string): void {
  const lifeS = exp - iat;
  if (!(lifeS > 0 && lifeS <= maxS))
    throw new BehalfError('delegation_malformed', { object, why: 'life', iat, exp, maxS });
}

/** `iat <= now + 30`. @throws {BehalfError} `delegation_not_yet_valid` */
export function checkBegun(iat: number, judge: TimeJudge, object: string): void {
  if (!(iat <= judge.nowS + judge.clock.aheadS)) refuseTime('delegation_not_yet_valid', 'iat', iat, judge, object);
}

/** `exp + 5 > now`; the grace is for verifying, never for signing. @throws {BehalfError} `delegation_expired` */
export function checkNotEnded(exp: number, judge: TimeJudge, object: string): void {
  if (!(exp + judge.clock.graceS > judge.nowS)) refuseTime('delegation_expired', 'exp', exp, judge, object);
}

function refuseTime(code: ErrorCode, claim: string, timeS: number, { nowS, skewS }: TimeJudge, object: string): never {
  throw new BehalfError(code, { object, [claim]: timeS, nowS, skewS });
}
