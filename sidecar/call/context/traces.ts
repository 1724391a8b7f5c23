/**
 * The trace id of a request that comes in, as far as it counts for association (WIRE section 5, carrier 3). From outside the mesh
 * none does: an entry begins a trace of its own and says which one it is begun instead of, whoever may or may not read trace ids
 * further on. Apps and tracing see `traceparent` as W3C Trace Context has it, and pass it on as ever: it is no secret.
 */

import { newTraceParent, traceParentOf, withTraceParent } from '../../facts/index.ts';
import type { CallEnvironment } from '../environment.ts';
import { fieldOf, type RequestHead } from '../head.ts';
import type { MeshCall } from '../mesh-call.ts';

/** A head as it goes on, and the `traceparent` from outside that is left behind; null where there was none. */
export interface TracedHead {
  readonly head: RequestHead;
  readonly link: string | null;
}

type Traced = Pick<CallEnvironment, 'contexts' | 'random'>;

/**
 * Of a peer's request: notes its trace id. One without a usable `traceparent` gets one, so that the app has something to pass on.
 * @throws {BehalfError} `context_limit`
 */
export function takeTrace({ contexts, random }: Traced, call: MeshCall, head: RequestHead, peer: string): RequestHead {
  if (!contexts.readsTraceIds) return head;
  const brought = traceParentOf(head.headers);
  // Sampled, where nobody said: what follows its parent records, so that switching this on takes no trace away.
  const { traceId, value } = brought ?? newTraceParent(random, true);
  contexts.traceBegan(traceId, peer);
  call.traceId = traceId;
  return brought === null ? { ...head, headers: withTraceParent(head.headers, value) } : head;
}

/**
 * Of a request from outside: begins a trace where it brought one, or where trace ids are read here. The new id is nobody's yet, so
 * that it is noted only once the request is let in (`noteTrace`): whoever has no credential leaves nothing behind.
 */
export function beginTrace({ contexts, random }: Traced, call: MeshCall, head: RequestHead): TracedHead {
  const outside = traceParentOf(head.headers);
  const isThere = fieldOf(head.headers, 'traceparent') !== null;
  if (outside === null && !contexts.readsTraceIds) {
    return { head: isThere ? { ...head, headers: withTraceParent(head.headers, null) } : head, link: null };
  }
  const { traceId, value } = newTraceParent(random, outside?.isSampled ?? true);
  const record = call.records[0] as MeshCall['records'][number];
  record.traceId = traceId;
  record.outsideTraceId = outside?.traceId ?? '';
  if (contexts.readsTraceIds) call.traceId = traceId;
  return { head: { ...head, headers: withTraceParent(head.headers, value) }, link: outside?.value ?? null };
}

/**
 * Notes the trace that was begun for a request from outside, before its app sees it.
 * @throws {BehalfError} `context_limit`
 */
export function noteTrace({ contexts }: Traced, { traceId }: MeshCall): void {
  if (traceId !== null) contexts.traceBegan(traceId, '');
}
