/**
 * The live state on the wire (DESIGN section 6): what was taken back, each entry signed by its source and numbered a source,
 * with a signed heartbeat every 5 s. JSON payloads of `SignedStatement`s of kind `live-state-entry` and `live-state-heartbeat`.
 */

import type { Revocation, RevocationSource } from '../delegation/revocation/index.ts';

export type { Revocation } from '../delegation/revocation/index.ts';

/** Who may state what: WIRE.md section 3. */
export type LiveStateSource = RevocationSource;

export const HEARTBEAT_INTERVAL_S = 5;

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
