/**
 * The blast radius: what a credential was used for since a time, read off the record's events alone. Pure: the same events give
 * the same radius, whoever asks and whenever.
 *
 * A hop is touched where what is contained took part in it or its authority rested on it. Both sides of a hop count as one. A
 * hop that was refused is counted apart: nothing behind it was reached.
 */
import type { Event, Hop } from '../../proto/behalf/audit/v1/audit.ts';
import type { Target } from './target.ts';

export interface UserReach {
  /** Pseudonym, or the SPIFFE ID of a workload that acted on its own authority. */
  readonly subject: string;
  readonly hops: number;
  readonly refused: number;
  readonly requests: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly services: readonly string[];
  readonly scopes: readonly string[];
  readonly clients: readonly string[];
}

export interface RouteReach {
  readonly route: string;
  readonly hops: number;
  readonly refused: number;
  readonly scopes: readonly string[];
}

export interface ServiceReach {
  /** The callee. */
  readonly service: string;
  readonly hops: number;
  readonly refused: number;
  readonly users: number;
  readonly routes: readonly RouteReach[];
}

export interface EdgeReach {
  /** Empty: from outside the mesh. */
  readonly from: string;
  readonly to: string;
  readonly hops: number;
  readonly refused: number;
}

export interface BlastRadius {
  readonly sinceUs: number;
  readonly untilUs: number;
  /** Whether all events since then were looked at. */
  readonly complete: boolean;
  readonly hops: number;
  readonly refused: number;
  readonly requests: number;
  /** Streams and long calls that no end is on record of. */
  readonly running: number;
  /** Hops whose person was erased from the record, or that were refused before the delegation was known. */
  readonly withoutUser: number;
  readonly users: readonly UserReach[];
  readonly services: readonly ServiceReach[];
  readonly edges: readonly EdgeReach[];
  readonly scopes: readonly { readonly scope: string; readonly hops: number }[];
}

export interface RadiusWindow {
  readonly sinceUs: number;
  readonly untilUs: number;
  readonly complete: boolean;
}

/** The radius of `target` in events of hops, their ends, and keys; others are passed over. */
export function blastRadius(target: Target, events: Iterable<Event>, window: RadiusWindow): BlastRadius {
  const all = [...events];
  const named: Named = {
    inUse: target.kind === 'kid' ? periodsOfKey(target.value, all) : [],
    txns: target.kind === 'deferred' ? txnsOfDeferred(target.value, all) : new Set(),
  };
  const touched = new Map<string, { hop: Hop; timeUs: number }>();
  const ended = new Set<string>();
  for (const event of all) {
    if (event.timeUs < window.sinceUs || event.timeUs >= window.untilUs) continue;
    if (event.body === 'hopEnd') ended.add(idOf(event.hopEnd.hopId));
    if (event.body !== 'hop' || !touches(target, event.hop, event.timeUs, named)) continue;
    const id = idOf(event.hop.hopId);
    const before = touched.get(id);
    // The callee knows most: what it matched, decided and answered.
    if (before === undefined || event.hop.side === 'SIDE_CALLEE') touched.set(id, event);
  }
  return summed([...touched.values()], ended, window);
}

/** Whether an event can matter to a target's radius; what cannot need not be kept. Ends name no one and follow their hops. */
export function mayMatter(target: Target, event: Event): boolean {
  if (event.body === 'key') return target.kind === 'kid';
  if (event.body === 'deferred') return target.kind === 'deferred' && event.deferred.id === target.value;
  if (event.body === 'hopEnd') return true;
  return (
    event.body === 'hop' && (ONLY_BY_OTHERS.has(target.kind) || touches(target, event.hop, event.timeUs, NOTHING_NAMED))
  );
}

/** Kinds that hops do not name: which hops are theirs, other events say. */
const ONLY_BY_OTHERS: ReadonlySet<Target['kind']> = new Set(['kid', 'deferred']);

/** What other events say of a target. */
interface Named {
  /** When a key was in use. */
  readonly inUse: readonly Period[];
  /** Transactions of the roots that were made of deferred work. */
  readonly txns: ReadonlySet<string>;
}

const NOTHING_NAMED: Named = { inUse: [], txns: new Set() };

function txnsOfDeferred(id: string, events: readonly Event[]): ReadonlySet<string> {
  const resumed = events.flatMap((event) =>
    event.body === 'deferred' && event.deferred.id === id ? [event.deferred] : [],
  );
  return new Set(resumed.flatMap(({ newTxn }) => (newTxn === '' ? [] : [newTxn])));
}

interface Period {
  readonly fromUs: number;
  readonly toUs: number;
}

/** A chain on a root lives for 300 s at most (WIRE.md section 1). */
const ROOT_LIFE_US = 300_000_000;

/**
 * When a root key was in use, by the record of keys. Hops do not name the key: where two were in use at a time, both get the
 * hops of that time, which is the safe side.
 */
function periodsOfKey(kid: string, events: readonly Event[]): Period[] {
  let fromUs = 0;
  let toUs = Number.POSITIVE_INFINITY;
  for (const event of events) {
    if (event.body !== 'key' || event.key.kid !== kid) continue;
    if (event.key.change === 'withdrawn') toUs = event.timeUs + ROOT_LIFE_US;
    else if (fromUs === 0) fromUs = event.timeUs;
  }
  return [{ fromUs, toUs }];
}

function touches({ kind, value }: Target, hop: Hop, timeUs: number, { inUse, txns }: Named): boolean {
  switch (kind) {
    case 'workload':
      return hop.caller === value || hop.callee === value || hop.actors.includes(value);
    case 'cert':
      return serialOf(hop.ownSerial) === serialOf(value) || serialOf(hop.peerSerial) === serialOf(value);
    case 'user':
      return hop.personal?.subject === value;
    case 'client':
      return hop.personal?.clientId === value;
    case 'consent':
      return hop.personal?.consentId === value;
    case 'txn':
      return hop.txn === value;
    case 'deferred':
      return txns.has(hop.txn);
    case 'kid':
      return hop.txn !== '' && inUse.some(({ fromUs, toUs }) => timeUs >= fromUs && timeUs <= toUs);
    default:
      return kind satisfies never;
  }
}

/** A serial without leading zeros, since each side writes it as it read it. */
export function serialOf(serial: Buffer | string): string {
  const hex = typeof serial === 'string' ? serial.toLowerCase().replaceAll(':', '') : serial.toString('hex');
  return hex.replace(/^0+/, '');
}

interface Tally {
  hops: number;
  refused: number;
  firstUs: number;
  lastUs: number;
  readonly requests: Set<string>;
  readonly users: Set<string>;
  readonly services: Set<string>;
  readonly scopes: Set<string>;
  readonly clients: Set<string>;
}

function summed(
  hops: readonly { readonly hop: Hop; readonly timeUs: number }[],
  ended: ReadonlySet<string>,
  { sinceUs, untilUs, complete }: RadiusWindow,
): BlastRadius {
  const total = newTally();
  const users = new Map<string, Tally>();
  const services = new Map<string, Tally & { readonly routes: Map<string, Tally> }>();
  const edges = new Map<string, Tally & { readonly from: string; readonly to: string }>();
  const scopes = new Map<string, number>();
  let running = 0;
  let withoutUser = 0;
  for (const { hop, timeUs } of hops) {
    const subject = hop.personal?.subject ?? '';
    count(total, hop, timeUs);
    if (subject === '') withoutUser += 1;
    else count(of(users, subject, newTally), hop, timeUs);
    const service = of(services, reached(hop), () => ({ ...newTally(), routes: new Map<string, Tally>() }));
    count(service, hop, timeUs);
    count(of(service.routes, hop.route === '' ? hop.method : hop.route, newTally), hop, timeUs);
    const [from, to] = [hop.caller, reached(hop)];
    count(
      of(edges, `${from} ${to}`, () => ({ ...newTally(), from, to })),
      hop,
      timeUs,
    );
    if (!isRefused(hop)) for (const scope of scopesOf(hop)) scopes.set(scope, (scopes.get(scope) ?? 0) + 1);
    if (hop.goesOn && !ended.has(idOf(hop.hopId))) running += 1;
  }
  return {
    sinceUs,
    untilUs,
    complete,
    hops: total.hops,
    refused: total.refused,
    requests: total.requests.size,
    running,
    withoutUser,
    users: byHops(
      [...users].map(([subject, { hops: n, refused, firstUs, lastUs, requests, ...sets }]) => ({
        subject,
        hops: n,
        refused,
        requests: requests.size,
        firstUs,
        lastUs,
        services: sorted(sets.services),
        scopes: sorted(sets.scopes),
        clients: sorted(sets.clients),
      })),
    ),
    services: byHops(
      [...services].map(([service, { hops: n, refused, users: who, routes }]) => ({
        service,
        hops: n,
        refused,
        users: who.size,
        routes: byHops(
          [...routes].map(([route, tally]) => ({
            route,
            hops: tally.hops,
            refused: tally.refused,
            scopes: sorted(tally.scopes),
          })),
        ),
      })),
    ),
    edges: byHops([...edges.values()].map(({ from, to, hops: n, refused }) => ({ from, to, hops: n, refused }))),
    scopes: byHops([...scopes].map(([scope, n]) => ({ scope, hops: n }))),
  };
}

function newTally(): Tally {
  return {
    hops: 0,
    refused: 0,
    firstUs: Number.POSITIVE_INFINITY,
    lastUs: 0,
    requests: new Set(),
    users: new Set(),
    services: new Set(),
    scopes: new Set(),
    clients: new Set(),
  };
}

/** What a refused hop asked for was not given: it adds no service, scope or client that was reached. */
function count(tally: Tally, hop: Hop, timeUs: number): void {
  tally.hops += 1;
  tally.firstUs = Math.min(tally.firstUs, timeUs);
  tally.lastUs = Math.max(tally.lastUs, timeUs);
  tally.requests.add(idOf(hop.requestId));
  if (hop.personal !== null && hop.personal.subject !== '') tally.users.add(hop.personal.subject);
  if (isRefused(hop)) {
    tally.refused += 1;
    return;
  }
  tally.services.add(reached(hop));
  for (const scope of scopesOf(hop)) tally.scopes.add(scope);
  if (hop.personal !== null && hop.personal.clientId !== '') tally.clients.add(hop.personal.clientId);
}

/** The service that was called, or the exit by which the call left the mesh. */
function reached({ callee, exit }: Hop): string {
  return exit === '' ? callee : `exit:${exit}`;
}

function of<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function isRefused({ outcome }: Hop): boolean {
  return outcome === 'OUTCOME_REFUSED';
}

function scopesOf({ scope }: Hop): string[] {
  return scope.split(' ').filter(Boolean);
}

function sorted(values: ReadonlySet<string>): string[] {
  return [...values].sort();
}

function byHops<T extends { readonly hops: number }>(list: T[]): T[] {
  return list.sort((a, b) => b.hops - a.hops);
}

function idOf(bytes: Buffer): string {
  return bytes.toString('base64url');
}
