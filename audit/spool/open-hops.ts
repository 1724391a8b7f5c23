/**
 * Which calls go on: an opening hop event was written and its closing one was not. Kept in memory, carried from segment to
 * segment, and after a crash what is still open is closed as `unknown` (DESIGN section 2).
 */
import type { Event, EventBody, HopEnd, Side } from '../../proto/behalf/audit/v1/audit.ts';
import { SIDES } from '../event/fields.ts';

interface OpenHop {
  readonly side: Side;
  readonly hopId: Buffer;
  readonly requestId: Buffer;
}

export type OpenHops = Map<string, OpenHop>;

/** The name under which a side's hop is open. */
export function openHopKey(side: Side, hopId: Buffer): string {
  return `${side}${hopId.toString('latin1')}`;
}

/** Takes an event into account. Ids are copied, since they may be slices of something large. */
export function followHop(open: OpenHops, event: Event | EventBody): void {
  if (event.body === 'hop' && event.hop.goesOn) {
    const { side, hopId, requestId } = event.hop;
    open.set(openHopKey(side, hopId), { side, hopId: Buffer.from(hopId), requestId: Buffer.from(requestId) });
  } else if (event.body === 'hopEnd') {
    open.delete(openHopKey(event.hopEnd.side, event.hopEnd.hopId));
  }
}

/** The closing events for what is still open after a crash. */
export function unknownEnds(open: OpenHops): HopEnd[] {
  return [...open.values()].map(({ side, hopId, requestId }) => ({
    hopId,
    side,
    outcome: 'OUTCOME_UNKNOWN',
    code: '',
    bytesIn: 0,
    bytesOut: 0,
    durationUs: 0,
    grpcStatusPlusOne: 0,
    requestId,
  }));
}

/** As a record's payload: side, then both ids, each after its length. */
export function encodeOpenHops(open: OpenHops): Buffer {
  const parts: Buffer[] = [];
  for (const { side, hopId, requestId } of open.values()) {
    parts.push(Buffer.of(SIDES.indexOf(side), hopId.length), hopId, Buffer.of(requestId.length), requestId);
  }
  return Buffer.concat(parts);
}

/** Reads what `encodeOpenHops` wrote, into `open`. */
export function decodeOpenHops(payload: Buffer, open: OpenHops): void {
  for (let at = 0; at < payload.length; ) {
    const side = SIDES[payload[at] ?? 0] ?? 'SIDE_UNSPECIFIED';
    const hopEnd = at + 2 + (payload[at + 1] ?? 0);
    const end = hopEnd + 1 + (payload[hopEnd] ?? 0);
    const hopId = Buffer.from(payload.subarray(at + 2, hopEnd));
    open.set(openHopKey(side, hopId), { side, hopId, requestId: Buffer.from(payload.subarray(hopEnd + 1, end)) });
    at = end;
  }
}
