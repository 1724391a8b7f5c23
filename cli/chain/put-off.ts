/**
 * Work that was put off and taken up again, as one story (WIRE.md section 6): the calls of the request that it came from, who put it off,
 * and each time that it was taken up. The record joins them by the transactions of their roots.
 */
import { decodeEvent } from '../../audit/event/index.ts';
import type { DeferredChanged } from '../../proto/behalf/audit/v1/audit.ts';
import { printable } from '../draw/style.ts';
import { instant, shortName } from '../draw/words.ts';
import { routeOf } from '../hops/draw-hops.ts';
import { type HopView, joinHops, type SideReport, startUs } from '../hops/hop-view.ts';
import { listEvents, listHops, MAX_EVENTS, type QueryClient } from '../hops/query.ts';
import { scopesOf } from './tell-chain.ts';

const MAX_BEFORE = 50;
/** A consent's longest life, and a day for clocks and for what was still under way. */
const LONGEST_US = 31 * 86_400 * 1_000_000;

export interface PutOff {
  /** What became of it, in log order. */
  readonly changes: readonly { readonly timeUs: number; readonly change: DeferredChanged }[];
  /** Whether all events since then were looked at. */
  readonly complete: boolean;
  /** Calls of the request that it came from, oldest first. */
  readonly before: readonly HopView[];
}

/** Every piece of work that came of this call's transaction, or that this call is a part of. */
export async function findPutOff(query: QueryClient, { timeUs, hop: { txn } }: SideReport): Promise<readonly PutOff[]> {
  if (txn === '') return [];
  // Older work cannot have to do with this call: no grant lives for longer.
  const events = await listEvents(query, { kind: 'deferred', sinceUs: Math.max(0, timeUs - LONGEST_US) });
  const complete = events.length < MAX_EVENTS;
  const all = events.flatMap((logged) => {
    const event = decodeEvent(logged.event);
    return event.body === 'deferred' ? [{ timeUs: event.timeUs, change: event.deferred }] : [];
  });
  const ids = new Set(all.flatMap(({ change }) => (change.txn === txn || change.newTxn === txn ? [change.id] : [])));
  const found: PutOff[] = [];
  for (const id of ids) {
    const changes = all.filter(({ change }) => change.id === id);
    const before = joinHops(await listHops(query, { txn: changes[0]?.change.txn ?? '' }));
    // A root that was reused has calls of several requests.
    found.push({ changes, complete, before: before.toSorted((a, b) => startUs(a) - startUs(b)).slice(0, MAX_BEFORE) });
  }
  return found;
}

/** The story in lines, the oldest first. */
export function tellPutOff({ changes, before, complete }: PutOff): string[] {
  const [first] = changes;
  if (first === undefined) return [];
  const { id, work } = first.change;
  const what = work === '' ? '' : `, “${printable(work)}”`;
  return [
    `It is one story with work that was put off, ${id}${what}:`,
    ...before.map((view) => `  ${at(startUs(view))} ${callOf(view)}, in transaction ${view.main.hop.txn}`),
    ...changes.map(({ timeUs, change }) => `  ${at(timeUs)} ${changeOf(change)}`),
    ...(complete ? [] : [`  (only the first ${MAX_EVENTS} events of deferred work since then were looked at)`]),
  ];
}

function callOf({ id, main: { hop } }: HopView): string {
  const from = hop.caller === '' ? 'a client outside the mesh' : shortName(hop.caller);
  return `${from} called ${shortName(hop.callee)}, ${printable(routeOf(hop))} (hop ${id})`;
}

function changeOf({
  change,
  holder,
  caller,
  newTxn,
  scope,
  uses,
  usesLeft,
  untilS,
  code,
  by,
  reason,
}: DeferredChanged): string {
  const who = shortName(holder);
  const why = reason === '' ? '' : `: ${printable(reason)}`;
  switch (change) {
    case 'deferred':
      return `${who} put it off until ${at(untilS * 1_000_000)}, for ${uses} ${uses === 1 ? 'use' : 'uses'}, with: ${scopesOf(scope === '' ? [] : scope.split(' '))}`;
    case 'resumed':
      return `${who} took it up, as transaction ${newTxn}; ${usesLeft} of ${uses} uses left`;
    case 'refused':
      return `${shortName(caller)} tried to take it up and was refused: ${printable(code)}`;
    case 'expired':
      return 'its time was over';
    default:
      return `it was ${printable(change)} by ${printable(by)}${why}`;
  }
}

function at(timeUs: number): string {
  return instant(timeUs).slice(0, 19);
}

/** The same for programs, without what is about the person. */
export function putOffJson(found: readonly PutOff[]): object[] {
  return found.map(({ changes, before, complete }) => ({
    complete,
    before: before.map(({ id }) => id),
    changes: changes.map(({ timeUs, change: { personal: _, ...change } }) => ({ timeUs, ...change })),
  }));
}
