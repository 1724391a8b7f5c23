/** What of an event stands in columns of its own, for queries and matching. Derived, so that a check can derive it again. */

import { BODIES, OUTCOMES, SIDES } from '../../audit/event/fields.ts';
import type { Event } from '../../audit/event/index.ts';

export interface EventColumns {
  readonly kind: number;
  readonly time_us: number;
  readonly hop_id: Buffer | null;
  readonly request_id: Buffer | null;
  readonly side: number | null;
  readonly outcome: number | null;
  readonly caller: string | null;
  readonly callee: string | null;
  readonly code: string | null;
  readonly txn: string | null;
}

export const KIND_HOP = BODIES.hop.number;
export const KIND_HOP_END = BODIES.hopEnd.number;

export function columnsOf(event: Event): EventColumns {
  const base = { kind: BODIES[event.body].number, time_us: event.timeUs };
  if (event.body === 'hop') {
    const { hopId, requestId, side, outcome, caller, callee, code, txn } = event.hop;
    return {
      ...base,
      hop_id: bytesOrNull(hopId),
      request_id: bytesOrNull(requestId),
      side: SIDES.indexOf(side),
      outcome: OUTCOMES.indexOf(outcome),
      caller,
      callee,
      code,
      txn,
    };
  }
  if (event.body === 'hopEnd') {
    const { hopId, requestId, side, outcome, code } = event.hopEnd;
    return {
      ...base,
      hop_id: bytesOrNull(hopId),
      request_id: bytesOrNull(requestId),
      side: SIDES.indexOf(side),
      outcome: OUTCOMES.indexOf(outcome),
      caller: null,
      callee: null,
      code,
      txn: null,
    };
  }
  const about = event.body === 'evaluation' ? event.evaluation : null;
  return {
    ...base,
    hop_id: about === null ? null : bytesOrNull(about.hopId),
    request_id: about === null ? null : bytesOrNull(about.requestId),
    side: null,
    outcome: null,
    caller: null,
    callee: null,
    code: about === null ? null : about.code,
    txn: null,
  };
}

function bytesOrNull(bytes: Buffer): Buffer | null {
  return bytes.length === 0 ? null : bytes;
}
