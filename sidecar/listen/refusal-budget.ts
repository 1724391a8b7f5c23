/**
 * How many refused connections a listener puts on record and answers. UNTRUSTED: anyone who reaches a port can be refused as
 * often as they like; beyond the budget they are cut off unanswered and only counted, so that nobody fills the spool, which
 * would deny everyone else's calls.
 */
import type { Logger } from 'pino';

const PER_SECOND = 200;

export interface RefusalBudget {
  /** Whether one more may be recorded in this second. */
  spend(): boolean;
}

export function createRefusalBudget(
  listener: string,
  log: Logger,
  nowMs: () => number = performance.now.bind(performance),
): RefusalBudget {
  let second = 0;
  let spent = 0;
  let beyond = 0;
  return {
    spend() {
      const now = Math.floor(nowMs() / 1000);
      if (now !== second) {
        if (beyond > 0)
          log.warn({ listener, connections: beyond }, 'refused connections beyond the budget were cut off unrecorded');
        second = now;
        spent = 0;
        beyond = 0;
      }
      if (spent >= PER_SECOND) {
        beyond += 1;
        return false;
      }
      spent += 1;
      return true;
    },
  };
}
