/** Joins what both sides reported about each call, by hop id, and orders calls into the tree of one user request. Pure. */
import { decodeEvent } from '../../audit/event/index.ts';
import type { Hop, HopEnd, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';

/** One side's report of a call, and where it lies in the log. */
export interface SideReport {
  readonly index: number;
  readonly reporter: string;
  readonly timeUs: number;
  readonly hop: Hop;
}

export interface EndReport {
  readonly index: number;
  readonly reporter: string;
  readonly end: HopEnd;
}

/** One call, with each side's account of it where there is one. */
export interface HopView {
  /** base64url, as in `Delegation-Hop`. */
  readonly id: string;
  readonly parent: string | null;
  readonly request: string;
  readonly sides: readonly SideReport[];
  readonly ends: readonly EndReport[];
  /** The side that knows most: the callee's where it was reached, else the entry's or the caller's. */
  readonly main: SideReport;
}

/** A user request: calls that share a request id, the first ones at the root. */
export interface RequestView {
  readonly request: string;
  readonly hops: readonly HopView[];
  readonly roots: readonly HopView[];
}

/** Joins logged events to calls, in the order of their first report. Events that are no hops are passed over. */
export function joinHops(events: readonly LoggedEvent[]): HopView[] {
  const byId = new Map<string, { sides: SideReport[]; ends: EndReport[] }>();
  const of = (id: string) => {
    const known = byId.get(id) ?? { sides: [], ends: [] };
    byId.set(id, known);
    return known;
  };
  for (const { index, reporter, event } of events) {
    const decoded = decodeEvent(event);
    if (decoded.body === 'hop')
      of(text(decoded.hop.hopId)).sides.push({ index, reporter, timeUs: decoded.timeUs, hop: decoded.hop });
    else if (decoded.body === 'hopEnd')
      of(text(decoded.hopEnd.hopId)).ends.push({ index, reporter, end: decoded.hopEnd });
  }
  return [...byId].flatMap(([id, { sides, ends }]) => {
    const main = sides.find(({ hop }) => hop.side === 'SIDE_CALLEE') ?? sides[0];
    if (main === undefined) return []; // only its end is on this page
    const parent = sides.map(({ hop }) => text(hop.parentHopId)).find((one) => one !== '') ?? null;
    return [{ id, parent, request: text(main.hop.requestId), sides, ends, main }];
  });
}

/** Groups calls by user request, each in the order of time. */
export function groupByRequest(hops: readonly HopView[]): RequestView[] {
  const groups = new Map<string, HopView[]>();
  for (const hop of hops) groups.set(hop.request, [...(groups.get(hop.request) ?? []), hop]);
  return [...groups].map(([request, members]) => {
    const sorted = members.toSorted((a, b) => startUs(a) - startUs(b));
    const ids = new Set(sorted.map(({ id }) => id));
    // A parent that is not among them (another page, erased, or never reported) leaves its children at the root.
    return { request, hops: sorted, roots: sorted.filter(({ parent }) => parent === null || !ids.has(parent)) };
  });
}

/** When the call began, as its earliest side saw it: events are written at the answer's head. */
export function startUs({ sides }: HopView): number {
  return Math.min(...sides.map(({ timeUs, hop }) => timeUs - hop.durationUs));
}

/** The side of a call, where it was reported. */
export function sideOf(view: HopView, side: Hop['side']): SideReport | null {
  return view.sides.find(({ hop }) => hop.side === side) ?? null;
}

/** Whether any side refused it or a running call was ended. */
export function isRefused({ sides, ends }: HopView): boolean {
  return (
    sides.some(({ hop }) => hop.outcome === 'OUTCOME_REFUSED') ||
    ends.some(({ end }) => end.outcome === 'OUTCOME_ENDED' && end.code !== '')
  );
}

/** Bytes as ids are written everywhere. */
export function text(bytes: Buffer): string {
  return bytes.toString('base64url');
}
