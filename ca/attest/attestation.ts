/**
 * What attestation brings, whatever the way (DESIGN section 3). A plug gives it or throws: it decides who somebody is, never
 * what that one may do. Plugs keep no connection open and are asked once a request.
 */
import type { SpiffeId } from '../../identity/index.ts';

/** Names of the plugs, as they stand in issuance events. */
export type Attestor = 'join_token' | 'unix_peer' | 'svid' | 'self';

export interface Attestation {
  readonly attestor: Attestor;
  readonly spiffeId: SpiffeId;
  /** What was seen, `kind:value`; goes on record. No secret. */
  readonly selectors: readonly string[];
  /** The registration entry that gave the identity; null where none did. Renewal needs it to stand still. */
  readonly entryId: string | null;
  /** Life that the entry gives, in seconds; 0 for the default. */
  readonly ttlS: number;
}
