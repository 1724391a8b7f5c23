/**
 * What is kept of one request that a sidecar let in: the delegation that it runs on and its place in the tree of hops.
 * A handle (`context.ts`) stands for one of these; calls that the app makes with the handle go on from it.
 */
import type { VerifiedChain, VerifiedRoot } from '../../../delegation/index.ts';
import type { SpiffeId } from '../../../identity/index.ts';

export interface InboundContext {
  /** As verified when the request came in: a chain from a peer, or a root that the entry listener obtained. */
  readonly delegation: VerifiedChain | VerifiedRoot;
  /** Who called; null where the request came from outside the mesh. */
  readonly peer: SpiffeId | null;
  /** 12 bytes each (WIRE section 2). */
  readonly hopId: Buffer;
  readonly requestId: Buffer;
  /** Trace id of the request's `traceparent`, lower-case hexadecimal; null where trace ids do not count. */
  readonly traceId: string | null;
  /** `traceparent` of the request from outside, instead of which the entry began a trace; null where there was none. */
  readonly traceLink: string | null;
}
