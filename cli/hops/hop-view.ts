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

/** A user request: calls that share a request id, as a tree. */
export interface RequestView {
  readonly request: string;
  /** All, in the order of time. */
  readonly hops: readonly HopView[];
  /** Calls whose parent is not among them. */
  readonly roots: readonly HopView[];
  /** Further calls that each call led to, by its id. */
  readonly children: ReadonlyMap<string, readonly HopView[]>;
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
  for (const hop of hops) {
    const group = groups.get(hop.request);
    if (group === undefined) groups.set(hop.request, [hop]);
    else group.push(hop);
  }
  return [...groups].map(([request, members]) =>
    treeOf(
      request,
      members.toSorted((a, b) => startUs(a) - startUs(b)),
    ),
  );
}

/**
 * UNTRUSTED: reporters choose parents. Each call stands in the tree exactly once, whatever they say: one whose parent is not
 * there (another page, erased, never reported) is at the root, and so is the earliest of a circle.
 */
function treeOf(request: string, hops: readonly HopView[]): RequestView {
  const ids = new Set(hops.map(({ id }) => id));
  const claimed = new Map<string, HopView[]>();
  for (const hop of hops) {
    if (hop.parent !== null && ids.has(hop.parent)) claimed.set(hop.parent, [...(claimed.get(hop.parent) ?? []), hop]);
  }
  const roots: HopView[] = [];
  const children = new Map<string, HopView[]>();
  const placed = new Set<string>();
  const place = (root: HopView): void => {
    roots.push(root);
    placed.add(root.id);
    for (const open = [root]; open.length > 0; ) {
      const { id } = open.pop()!;
      const next = (claimed.get(id) ?? []).filter((child) => !placed.has(child.id));
      for (const child of next) placed.add(child.id);
      children.set(id, next);
      open.push(...next);
    }
  };
  for (const hop of hops) if (hop.parent === null || !ids.has(hop.parent)) place(hop);
  for (const hop of hops) if (!placed.has(hop.id)) place(hop);
  return { request, hops, roots, children };
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

/** The code that a call was refused, failed or ended with; null where it went well. */
export function codeOfHop({ sides, ends }: HopView): string | null {
  return [...sides.map(({ hop }) => hop.code), ...ends.map(({ end }) => end.code)].find((code) => code !== '') ?? null;
}

/** Bytes as ids are written everywhere. */
export function text(bytes: Buffer): string {
  return bytes.toString('base64url');
}
