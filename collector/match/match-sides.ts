/**
 * Joins the two sides of each hop (DESIGN section 7). Every call between two sidecars is reported twice; which reports are due
 * follows from what the first one says. A side may be late for as long as its sidecar is cut off: so a hop is one-sided only
 * once the other side is overdue, and no longer when it came after all.
 */
import type { Hop } from '../../proto/behalf/audit/v1/audit.ts';

export const SIDE_CALLER_BIT = 1;
export const SIDE_CALLEE_BIT = 2;
const SIDE_ENTRY_BIT = 4;
const SIDE_EXIT_BIT = 8;

/** How long the other side may take before the hop counts as one-sided. Delivery takes well under a second. */
export const OVERDUE_US = 30_000_000;

/** What one report says about its hop. */
export interface SideReport {
  readonly side: number;
  /** Sides that are due because of it, its own among them. */
  readonly due: number;
  readonly denied: boolean;
}

/** What a reporter's event says about its hop. Only whom a side is of may report it: for another it counts as no side. */
export function reportOf(hop: Hop, reporter: string): SideReport {
  const denied = hop.outcome === 'OUTCOME_REFUSED';
  if (!isOwnSide(hop, reporter)) return { side: 0, due: 0, denied: false };
  switch (hop.side) {
    case 'SIDE_CALLER':
      return { side: SIDE_CALLER_BIT, due: SIDE_CALLER_BIT | (reachedCallee(hop) ? SIDE_CALLEE_BIT : 0), denied };
    case 'SIDE_CALLEE':
      // A callee sees nothing but what a caller sent.
      return { side: SIDE_CALLEE_BIT, due: SIDE_CALLEE_BIT | SIDE_CALLER_BIT, denied };
    case 'SIDE_ENTRY':
      return { side: SIDE_ENTRY_BIT, due: SIDE_ENTRY_BIT, denied };
    case 'SIDE_EXIT':
      // Who is called stands outside the mesh, and reports nothing.
      return { side: SIDE_EXIT_BIT, due: SIDE_EXIT_BIT, denied };
    case 'SIDE_UNSPECIFIED':
      return { side: 0, due: 0, denied };
    default:
      throw new Error(`no such side ${hop.side satisfies never}`);
  }
}

/** Whether the side that an event tells is its reporter's; else a third one could make a hop look whole, or denied. */
export function isOwnSide({ side, caller, callee }: Hop, reporter: string): boolean {
  return (side === 'SIDE_CALLER' || side === 'SIDE_EXIT' ? caller : callee) === reporter;
}

/** Whether the callee must have seen the call: not if the caller's own sidecar refused it, nor if it never got there for sure. */
function reachedCallee(hop: Hop): boolean {
  switch (hop.outcome) {
    case 'OUTCOME_FORWARDED':
    case 'OUTCOME_ENDED':
      return true;
    case 'OUTCOME_REFUSED':
      return hop.refusedBy !== '' && hop.refusedBy !== hop.caller;
    case 'OUTCOME_FAILED':
    case 'OUTCOME_UNKNOWN':
    case 'OUTCOME_UNSPECIFIED':
      return false;
    default:
      throw new Error(`no such outcome ${hop.outcome satisfies never}`);
  }
}
