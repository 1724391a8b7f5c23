/** Reads the record through the collector's public `AuditQuery`, page by page, within a bound. */
import type { ServiceClient } from '../../identity/mtls/index.ts';
import {
  type AuditQuery,
  auditQuery,
  type ListEventsRequest,
  type ListHopsRequest,
  type LoggedEvent,
} from '../../proto/behalf/audit/v1/audit.ts';
import { consents } from '../../proto/behalf/authority/v1/authority.ts';
import type { Sent } from '../../proto/service.ts';
import type { Operator } from '../mesh/operator.ts';

const PAGE = 1000;
/** More than a person reads and a program should ask for at once. */
export const MAX_EVENTS = 50_000;

export type QueryClient = ServiceClient<AuditQuery>;

/** A client of the record. */
export function connectQuery({ connect, mesh }: Operator): QueryClient {
  return connect(auditQuery, mesh.collector);
}

/** All hop events that fit, oldest first, at most `MAX_EVENTS`. */
export async function listHops(query: QueryClient, filter: Sent<ListHopsRequest>): Promise<LoggedEvent[]> {
  return pages(filter.fromIndex ?? 0, (fromIndex) => query.listHops({ ...filter, fromIndex, limit: PAGE }));
}

/** All other events that fit, oldest first, at most `MAX_EVENTS`. */
export async function listEvents(query: QueryClient, filter: Sent<ListEventsRequest>): Promise<LoggedEvent[]> {
  return pages(filter.fromIndex ?? 0, (fromIndex) => query.listEvents({ ...filter, fromIndex, limit: PAGE }));
}

async function pages(
  from: number,
  ask: (fromIndex: number) => Promise<{ events: readonly LoggedEvent[]; more: boolean }>,
): Promise<LoggedEvent[]> {
  const found: LoggedEvent[] = [];
  for (let fromIndex = from; found.length < MAX_EVENTS; ) {
    const { events, more } = await ask(fromIndex);
    found.push(...events);
    const last = events.at(-1);
    if (!more || last === undefined) break;
    fromIndex = last.index + 1;
  }
  return found;
}

/** The pseudonym of a local account, or null where there is no authority. @throws {BehalfError} `not_found` */
export async function pseudonymOf({ connect, mesh }: Operator, account: string): Promise<string | null> {
  if (mesh.authority === null) return null;
  const { subject } = await connect(consents, mesh.authority).lookUpSubject({ account });
  return subject;
}

/** Names of accounts by pseudonym, as far as consents know them. */
export async function accountNames({ connect, mesh }: Operator): Promise<ReadonlyMap<string, string>> {
  if (mesh.authority === null) return new Map();
  const { consents: all } = await connect(consents, mesh.authority).listConsents({ account: '' });
  return new Map(all.map(({ subject, account }) => [subject, account]));
}
