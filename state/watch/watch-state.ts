/**
 * The side that judges: follows the policy snapshot and the live state over one connection to the collector, which relays
 * and is not trusted with either (DESIGN section 6). Gives the current snapshot compiled, the revocations in force and how
 * fresh they are; what calls and streams must do about it is the sidecar's.
 */
import { uptime } from 'node:os';
import type { Logger } from 'pino';
import { createRevocationSet, type RevocationSet } from '../../delegation/revocation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import { connectService } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { type CompiledSnapshot, DEFAULT_SETTINGS } from '../../policy/index.ts';
import { state } from '../../proto/behalf/state/v1/state.ts';
import type { LiveStateSource, Revocation } from '../live-state.ts';
import { LIVE_STATE_SOURCES } from '../parse-live-state.ts';
import { followLiveState, followSnapshot } from './follow-streams.ts';
import { createListeners } from './listeners.ts';
import { createLiveStateReceiver, type StateDefect } from './live-state-receiver.ts';
import { createSleepWatch } from './sleep-watch.ts';
import { openSnapshotFloor } from './snapshot-floor.ts';
import type { ProvenRun } from './source-ledger.ts';

/** Both clocks: the wall's for times that others wrote, the monotonic one for ages. */
export interface StateClock {
  /** Seconds since the epoch. */
  wallS(): number;
  /** Milliseconds that never go back. */
  monotonicMs(): number;
  /** Milliseconds since boot; unlike the monotonic clock it goes on while the machine sleeps. Absent: it never sleeps. */
  bootMs?(): number;
}

const SYSTEM_STATE_CLOCK: StateClock = {
  wallS: () => Date.now() / 1_000,
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1_000,
};

export interface WatchStateOptions {
  readonly identity: OwnIdentity;
  readonly collectorAddress: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly clock?: StateClock;
  /** Where the highest snapshot number is kept over restarts; without it a restarted receiver takes any signed snapshot. */
  readonly floorFile?: string;
}

export interface StateView {
  /** The newest snapshot that a policy key signed, or null before the first. Its end is for `decide` to judge. */
  snapshot(): CompiledSnapshot | null;
  readonly revocations: RevocationSet;
  /**
   * Checks that the live state of a source is not older than the snapshot's limit. `nowMonotonicMs` is `performance.now()`.
   * @throws {BehalfError} `revocation_stale`
   */
  checkFresh(nowMonotonicMs: number, source: LiveStateSource): void;
  /** Age of a source's live state in milliseconds; infinite before its first heartbeat. */
  ageMs(nowMonotonicMs: number, source: LiveStateSource): number;
  /** Which entries of a source are in force here without gap; null before its first heartbeat that counts. */
  proven(source: LiveStateSource): ProvenRun | null;
  /** Newest numbers, for events: a decision names both. */
  numbers(): { readonly snapshot: number; readonly authority: number; readonly ca: number };
  /** Each listener is called at once when the entry is in force; each gives its own undoing. */
  onRevocation(listener: (revocation: Revocation, source: LiveStateSource) => void): () => void;
  onSnapshot(listener: (snapshot: CompiledSnapshot) => void): () => void;
  onDefect(listener: (defect: StateDefect) => void): () => void;
  /** Resolves once there are a snapshot and fresh live state of both sources; rejects when it is closed before. */
  whenReady(): Promise<void>;
  close(): Promise<void>;
}

/** How often entries that can hit nothing any more are dropped, and how long past their time they stay, in seconds. */
const FORGET_INTERVAL_S = 60;
const FORGET_MARGIN_S = 60;
/** How often it is looked whether the machine has slept. */
const SLEEP_LOOK_MS = 1_000;

/** Begins to follow. Never throws: while the collector is away the view ages. */
export function watchState(options: WatchStateOptions): StateView {
  const { identity, log, signal } = options;
  const clock = options.clock ?? SYSTEM_STATE_CLOCK;
  const revocations = createRevocationSet();
  const onRevocation = createListeners<[Revocation, LiveStateSource]>(log);
  const onSnapshot = createListeners<[CompiledSnapshot]>(log);
  const onDefect = createListeners<[StateDefect]>(log);
  const onProgress = createListeners<[]>(log);
  const floor = openSnapshotFloor(options.floorFile ?? null, log);
  let snapshot: CompiledSnapshot | null = null;
  let isClosed = false;

  const defect = (found: StateDefect): void => {
    if (found.kind === 'unknown_key') log.warn(found, 'relayed state waits for a key');
    else log.error(found, 'relayed state does not count');
    onDefect.tell(found);
  };
  const sleep = createSleepWatch({
    monotonicMs: clock.monotonicMs,
    bootMs: () => clock.bootMs?.() ?? clock.monotonicMs(),
  });
  const looking = setInterval(sleep.look, SLEEP_LOOK_MS).unref();
  const receiver = createLiveStateReceiver({
    bundle: () => identity.bundle(),
    revocations,
    wallS: clock.wallS,
    monotonicMs: () => {
      sleep.look();
      return clock.monotonicMs() + sleep.sleptMs();
    },
    onRevocation: onRevocation.tell,
    onDefect: defect,
  });
  const expect = partId(identity.trustDomain, 'collector');
  const address = options.collectorAddress;
  const client = connectService(state, { address, identity, expect, log, clock: clock.wallS });
  const live = followLiveState(client, receiver, log, onProgress.tell);
  const policy = followSnapshot(client, identity, log, {
    serving: () => snapshot?.number ?? 0,
    floor: floor.number,
    take: (next) => {
      snapshot = next;
      floor.raise(next.number);
      log.info({ snapshot: next.number }, 'policy snapshot in force');
      onSnapshot.tell(next);
      onProgress.tell();
    },
    defect,
  });
  const unfollow = identity.onChange((what) => {
    if (what !== 'bundle') return;
    live.retryHeld();
    policy.retryHeld();
  });
  // By the earliest of our clock and both sources': one that is ahead for a while must not make us forget what still hits.
  const forget = (): void => {
    const sourcesS = LIVE_STATE_SOURCES.map((source) => receiver.ledgers[source].beatAtS());
    revocations.forget(Math.min(clock.wallS(), ...sourcesS) - FORGET_MARGIN_S);
  };
  const forgetting = setInterval(forget, FORGET_INTERVAL_S * 1_000).unref();

  const ageMs = (nowMonotonicMs: number, source: LiveStateSource): number =>
    receiver.ledgers[source].ageMs(nowMonotonicMs + sleep.sleptMs());
  const checkFresh = (nowMonotonicMs: number, source: LiveStateSource): void => {
    const limitS = (snapshot?.snapshot.settings ?? DEFAULT_SETTINGS).max_staleness_s[source];
    const age = ageMs(nowMonotonicMs, source);
    if (age <= limitS * 1_000) return;
    const ageS = Number.isFinite(age) ? Math.round(age / 1_000) : null;
    throw new BehalfError('revocation_stale', { source, ageS, limitS });
  };
  const isReady = (): boolean => {
    const now = clock.monotonicMs();
    return snapshot !== null && LIVE_STATE_SOURCES.every((source) => Number.isFinite(ageMs(now, source)));
  };

  const onClose = createListeners<[]>(log);
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    signal.removeEventListener('abort', close);
    clearInterval(forgetting);
    clearInterval(looking);
    unfollow();
    live.close();
    policy.close();
    client.close();
    onClose.tell();
  };
  signal.addEventListener('abort', close);
  if (signal.aborted) void close();

  return {
    snapshot: () => snapshot,
    revocations,
    checkFresh,
    ageMs,
    proven: (source) => receiver.ledgers[source].proven(),
    numbers: () => ({
      snapshot: snapshot?.number ?? 0,
      authority: receiver.ledgers.authority.through(),
      ca: receiver.ledgers.ca.through(),
    }),
    onRevocation: onRevocation.add,
    onSnapshot: onSnapshot.add,
    onDefect: onDefect.add,
    whenReady: () =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          if (!isReady() && !isClosed) return;
          offProgress();
          offClose();
          if (isClosed) reject(new BehalfError('snapshot_stale', { why: 'closed before the first state came' }));
          else resolve();
        };
        const offProgress = onProgress.add(settle);
        const offClose = onClose.add(settle);
        settle();
      }),
    close,
  };
}
