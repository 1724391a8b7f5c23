/** What every act has at hand: the running mesh, its record, and the people in it. */
import type { Logger } from 'pino';
import { decodeEvent } from '../../audit/event/index.ts';
import { connectService, type ServiceClient } from '../../identity/mtls/index.ts';
import { type AuditQuery, auditQuery, type EventBody, type LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { type Consents, consents } from '../../proto/behalf/authority/v1/authority.ts';
import { groupByRequest, type HopView, joinHops, type RequestView } from '../hops/hop-view.ts';
import { listEvents, listHops } from '../hops/query.ts';
import type { MeshService } from '../mesh/mesh-file.ts';
import type { Mesh } from '../mesh/start-mesh.ts';
import type { Demo } from './demo-plan.ts';
import type { Teller } from './teller.ts';

/** How long an act waits for what it has just caused to be on record. */
const RECORD_TIMEOUT_MS = 10_000;
const POLL_MS = 50;

export interface Stage {
  readonly mesh: Mesh;
  readonly demo: Demo;
  readonly tell: Teller;
  readonly log: Logger;
  readonly query: ServiceClient<AuditQuery>;
  readonly consents: ServiceClient<Consents>;
  service(name: string): MeshService;
  close(): void;
}

export function openStage(mesh: Mesh, demo: Demo, tell: Teller, log: Logger): Stage {
  const identity = mesh.operator;
  const { collector, authority, services } = mesh.file;
  const query = connectService(auditQuery, { address: collector.address, identity, expect: collector.id, log });
  const consentsClient = connectService(consents, {
    address: authority!.address,
    identity,
    expect: authority!.id,
    log,
  });
  return {
    mesh,
    demo,
    tell,
    log,
    query,
    consents: consentsClient,
    service: (name) => services.find((one) => one.name === name)!,
    close: () => {
      query.close();
      consentsClient.close();
    },
  };
}

/** Asks again and again until there is an answer, within a bound; null after it. */
export async function untilRecorded<T>(look: () => Promise<T | null>): Promise<T | null> {
  const deadline = performance.now() + RECORD_TIMEOUT_MS;
  for (;;) {
    const found = await look();
    if (found !== null || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The first user request on record since then that fits, from its entry on, once each of its calls has both sides. */
export function requestOnRecord(
  { query }: Stage,
  sinceUs: number,
  fits: (hops: readonly HopView[]) => boolean,
): Promise<RequestView | null> {
  return untilRecorded(async () => {
    const requests = groupByRequest(joinHops(await listHops(query, { sinceUs })));
    return (
      requests.find(
        ({ hops, roots }) => fits(hops) && roots.length === 1 && isEntry(roots[0]!) && hops.every(isComplete),
      ) ?? null
    );
  });
}

/** The first call on record since then that fits. */
export function hopOnRecord(
  { query }: Stage,
  sinceUs: number,
  fits: (hop: HopView) => boolean,
): Promise<HopView | null> {
  return untilRecorded(async () => joinHops(await listHops(query, { sinceUs })).find(fits) ?? null);
}

/** The call of that id, once it is on record. */
export function hopById({ query }: Stage, hopId: Buffer): Promise<HopView | null> {
  return untilRecorded(async () => joinHops(await listHops(query, { hopId }))[0] ?? null);
}

/** Events of a kind since then that fit. */
export async function eventsOfKind<K extends EventBody['body']>(
  { query }: Stage,
  kind: string,
  body: K,
  sinceUs: number,
): Promise<(Extract<EventBody, { body: K }> & { readonly logged: LoggedEvent; readonly timeUs: number })[]> {
  const events = await listEvents(query, { kind, sinceUs });
  return events.flatMap((logged) => {
    const event = decodeEvent(logged.event);
    return event.body === body
      ? [{ ...(event as EventBody as Extract<EventBody, { body: K }>), timeUs: event.timeUs, logged }]
      : [];
  });
}

/** Now, as events count time. */
export function nowUs(): number {
  return Date.now() * 1000;
}

function isEntry({ sides }: HopView): boolean {
  return sides.some(({ hop }) => hop.side === 'SIDE_ENTRY');
}

function isComplete(view: HopView): boolean {
  const has = (side: string): boolean => view.sides.some(({ hop }) => hop.side === side);
  return isEntry(view) || (has('SIDE_CALLER') && has('SIDE_CALLEE'));
}
