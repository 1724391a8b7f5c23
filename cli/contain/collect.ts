/** Reads from the record what a radius is made of, page by page, keeping only what can matter. */
import { decodeEvent } from '../../audit/event/index.ts';
import type { Event, ListHopsRequest, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import type { Sent } from '../../proto/service.ts';
import type { QueryClient } from '../hops/query.ts';
import { mayMatter, type RadiusWindow } from './radius.ts';
import type { Target } from './target.ts';

const PAGE = 10_000;
/** Events kept at most; beyond it the radius says that it is not complete. */
const MAX_KEPT = 1_000_000;
/** An event is written when its answer's head is known: a chain that began before the window may show in it. */
const NO_LIMIT = 0;

/** Which events beside hops say what a target's hops are. */
const BESIDE_HOPS: Readonly<Partial<Record<Target['kind'], string>>> = { kid: 'key', deferred: 'deferred' };

export interface Collected {
  readonly events: readonly Event[];
  readonly window: RadiusWindow;
}

/** Everything since `sinceUs` that can matter to the target's radius. */
export async function collectEvents(
  query: QueryClient,
  target: Target,
  sinceUs: number,
  untilUs: number,
): Promise<Collected> {
  const events: Event[] = [];
  const keep = (logged: readonly LoggedEvent[]): boolean => {
    for (const { event } of logged) {
      if (events.length >= MAX_KEPT) return false;
      const decoded = decodeEvent(event);
      if (mayMatter(target, decoded)) events.push(decoded);
    }
    return true;
  };
  const filter = { ...filterOf(target), sinceUs, untilUs };
  let complete = await pages((fromIndex) => query.listHops({ ...filter, fromIndex, limit: PAGE }), keep);
  const beside = BESIDE_HOPS[target.kind];
  if (beside !== undefined) {
    const others = await pages(
      (fromIndex) => query.listEvents({ kind: beside, fromIndex, limit: PAGE, sinceUs: NO_LIMIT }),
      keep,
    );
    complete &&= others;
  }
  return { events, window: { sinceUs, untilUs, complete } };
}

/** What the collector can look up by itself; the rest is looked at here. */
function filterOf({ kind, value }: Target): Sent<ListHopsRequest> {
  if (kind === 'user') return { subject: value };
  return kind === 'txn' ? { txn: value } : {};
}

async function pages(
  ask: (fromIndex: number) => Promise<{ readonly events: readonly LoggedEvent[]; readonly more: boolean }>,
  keep: (events: readonly LoggedEvent[]) => boolean,
): Promise<boolean> {
  for (let fromIndex = 0; ; ) {
    const { events, more } = await ask(fromIndex);
    if (!keep(events)) return false;
    const last = events.at(-1);
    if (!more || last === undefined) return true;
    fromIndex = last.index + 1;
  }
}
