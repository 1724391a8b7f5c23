/** What the steps of a call work with: the sidecar's own standing, the mesh's state, its caches and counters. */
import type { Reporter } from '../../audit/report/index.ts';
import type { ChainCache, HopMinter, HopWindow, OnceStore, VerifiedRoot } from '../../delegation/index.ts';
import type { ClockRule, SpiffeId } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { StateView } from '../../state/index.ts';
import type { ContextTable } from './context.ts';
import type { DecisionCache } from './decisions.ts';
import type { LinkCache } from './links.ts';
import type { Peer } from './seam.ts';
import type { RunningCalls } from './streams.ts';
import type { VerificationLimits } from './verification-limits.ts';

export interface CallEnvironment {
  readonly identity: OwnIdentity;
  readonly me: SpiffeId;
  readonly state: StateView;
  readonly contexts: ContextTable;
  readonly chains: ChainCache;
  readonly limits: VerificationLimits;
  readonly onceStore: OnceStore;
  readonly hopWindow: HopWindow;
  readonly hopMinter: HopMinter;
  readonly links: LinkCache;
  readonly decisions: DecisionCache;
  readonly running: RunningCalls;
  readonly roots: RootSource;
  readonly reporter: Reporter;
  readonly clock: ClockRule;
  readonly nowS: () => number;
  readonly random: (bytes: number) => Buffer;
  peerNamed(authority: string): Peer | null;
  /** Where requests from outside go instead of the own app. */
  readonly entryForward: Peer | null;
}

/** Roots from the authority, reused by the rules of WIRE section 1. */
export interface RootSource {
  /** @throws {BehalfError} `entry_token_invalid` and what else the authority refuses with, `upstream_unavailable` */
  forToken(token: string, scopes: readonly string[], fresh: boolean): Promise<VerifiedRoot> | VerifiedRoot;
  forOwn(to: SpiffeId, scopes: readonly string[], fresh: boolean): Promise<VerifiedRoot> | VerifiedRoot;
}
