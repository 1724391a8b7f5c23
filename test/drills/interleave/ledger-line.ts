/** What the drill tells its client, and what that writes down of each request. */
import type { PeerName } from '../../peers/peers.ts';

export interface InterleaveOrders {
  readonly entries: readonly { readonly way: PeerName; readonly url: string }[];
  readonly tokens: readonly string[];
  /** First number and the one after the last. */
  readonly from: number;
  readonly count: number;
  readonly seed: string;
  readonly concurrency: number;
}

export interface InterleaveLine {
  readonly n: number;
  readonly way: PeerName;
  readonly user: number;
  /** Whether the app was told to lose the context. */
  readonly dropped: boolean;
  /** 0 where no answer came. */
  readonly status: number;
  /** Whom the service behind saw. */
  readonly subject: string;
  readonly code: string;
  /** How often it was sent again because a service could not be reached. */
  readonly retries: number;
}
