/**
 * The live state on the wire (DESIGN section 6): what was taken back, each entry signed by its source and numbered a source,
 * with a signed heartbeat every 5 s. JSON payloads of `SignedStatement`s of kind `live-state-entry` and `live-state-heartbeat`.
 */

/** Who may state what: WIRE.md section 3. */
export type LiveStateSource = 'authority' | 'ca';

export const HEARTBEAT_INTERVAL_S = 5;

export type RevocationKind = 'txn' | 'sub' | 'client' | 'consent' | 'grant' | 'deferred' | 'kid' | 'workload' | 'wit' | 'cert';

/** Hits what was issued at or before `before` (seconds). `consent` may carry the lowest version that still counts instead. */
export interface Revocation {
  readonly kind: RevocationKind;
  readonly value: string;
  readonly before: number;
  readonly version?: number;
}

export interface LiveStateEntry {
  readonly source: LiveStateSource;
  /** 1, 2, 3 … without gap. */
  readonly number: number;
  /** Source's clock, seconds. */
  readonly at: number;
  readonly revocation: Revocation;
  /** When nothing that it hits can verify any more, seconds; then it is forgotten. */
  readonly forget_at: number;
}

export interface LiveStateHeartbeat {
  readonly source: LiveStateSource;
  /** Number of the newest entry; a receiver that has fewer has missed one and is stale. */
  readonly number: number;
  /** Lowest entry number that is still kept; those before it are forgotten. */
  readonly kept_from: number;
  readonly at: number;
}
