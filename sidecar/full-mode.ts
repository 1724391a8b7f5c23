/** What `mode: full` has beyond mutual TLS: the mesh's state, roots, handles, and the calls that must end with any of them. */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Reporter } from '../audit/report/index.ts';
import {
  createChainCache,
  createHopMinter,
  createHopWindow,
  createOnceStore,
  HOP_PREFIX_BYTES,
  revocationHits,
  type SignerFacts,
} from '../delegation/index.ts';
import { DEFAULT_CLOCK_RULE } from '../identity/clock.ts';
import { parseSpiffeId, partId } from '../identity/index.ts';
import { connectService, type ServiceClient } from '../identity/mtls/index.ts';
import type { OwnIdentity } from '../identity/own/index.ts';
import { createRandomPool } from '../identity/random-pool.ts';
import { serviceOf } from '../policy/index.ts';
import {
  type Deferrals,
  deferrals as deferralsService,
  tokenExchange,
} from '../proto/behalf/authority/v1/authority.ts';
import { type StateView, watchState } from '../state/index.ts';
import { type ContextTable, createContextTable } from './call/context/context.ts';
import { createDecisionCache } from './call/decisions.ts';
import { createEntryEnvironment } from './call/entry/entry-environment.ts';
import type { CallEnvironment } from './call/environment.ts';
import { createCallHooks } from './call/hooks.ts';
import { createVerificationLimits } from './call/inbound/verification-limits.ts';
import { createDetailShares } from './call/outbound/detail-shares.ts';
import { createLinkCache } from './call/outbound/links.ts';
import type { CallHooks, Peer } from './call/seam.ts';
import { rootContext } from './call/standing.ts';
import { createRunningCalls, revocationCode } from './call/streams.ts';
import { DEFAULT_CALLS_PER_PEER, type ResolvedSidecarConfig } from './config.ts';
import { openExchangeStream } from './exchange/exchange-stream.ts';
import { createExitTokens, type ExitTokens } from './exchange/exit-tokens.ts';
import { createNoExitTokens, createNoRoots } from './exchange/no-authority.ts';
import { createRoots, type Roots } from './exchange/roots.ts';
import type { RevokedPeers } from './listen/revoked-peers.ts';
import type { DeferredWorkDeps } from './local-api/deferred-work.ts';

/** Used until a snapshot says otherwise. */
const DEFAULT_ROOT_REUSE_S = 30;
const DEFAULT_STREAM_MAX_AGE_S = 3_600;
/** How often ended entries are swept out of caches. */
const SWEEP_MS = 10_000;
const SETTLE_MS = 10_000;

export interface FullMode {
  readonly hooks: CallHooks;
  readonly contexts: ContextTable;
  readonly state: StateView;
  readonly deferredWork: DeferredWorkDeps;
  readonly revoked: RevokedPeers;
  /** mTLS ports of a peer, from the snapshot. */
  endpointsOf(peer: Peer): readonly string[];
  /** Waits for policy and live state, for a while: without them every call is denied anyway. */
  settled(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface FullModeOptions {
  readonly config: ResolvedSidecarConfig;
  readonly identity: OwnIdentity;
  readonly reporter: Reporter;
  readonly refusedCalls: CallEnvironment['refusedCalls'];
  peerNamed(authority: string): Peer | null;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export function startFullMode({
  config,
  identity,
  reporter,
  refusedCalls,
  peerNamed,
  log,
  signal,
}: FullModeOptions): FullMode {
  const nowS = () => Date.now() / 1000;
  const random = createRandomPool();
  const floorFile = `${config.dataDir}/snapshot-floor.json`;
  const state = watchState({ identity, collectorAddress: config.collectorAddress, floorFile, log, signal });
  const contexts = createContextTable({
    random,
    now: nowS,
    ...(config.context?.traceId === true ? { traceIds: {} } : {}),
    ...(config.context?.lingerMs === undefined ? {} : { lingerMs: config.context.lingerMs }),
  });
  const settings = () => state.snapshot()?.snapshot.settings ?? null;
  const { roots, exitTokens, deferrals, closeRoots } = openRoots();
  const running = createRunningCalls({
    onFailure: (thrown) => log.error({ err: thrown }, 'a call could not be ended cleanly'),
    isSnapshotOver: () => nowS() > (state.snapshot()?.validUntilS ?? Number.POSITIVE_INFINITY),
    checkFresh(delegated) {
      const nowMs = performance.now();
      state.checkFresh(nowMs, 'ca');
      if (delegated) state.checkFresh(nowMs, 'authority');
    },
    maxAgeS: () => settings()?.stream_max_age_s ?? DEFAULT_STREAM_MAX_AGE_S,
    maxPerPeer: config.mesh?.maxCallsPerPeer ?? DEFAULT_CALLS_PER_PEER,
    nowS,
  });
  const env: CallEnvironment = {
    identity,
    me: identity.spiffeId,
    state,
    contexts,
    chains: createChainCache(),
    limits: createVerificationLimits(),
    onceStore: createOnceStore({ startedAtS: nowS() }),
    hopWindow: createHopWindow(),
    hopMinter: createHopMinter(randomBytes(HOP_PREFIX_BYTES)),
    links: createLinkCache(random),
    shares: createDetailShares(),
    decisions: createDecisionCache(),
    running,
    roots,
    exitTokens,
    reporter,
    refusedCalls,
    clock: DEFAULT_CLOCK_RULE,
    nowS,
    random,
    peerNamed,
    entry: createEntryEnvironment(config.entry, peerNamed, nowS()),
  };

  function openRoots(): {
    roots: Roots;
    exitTokens: ExitTokens;
    deferrals: ServiceClient<Deferrals> | null;
    closeRoots: () => void;
  } {
    if (config.authorityAddress === undefined)
      return { roots: createNoRoots(), exitTokens: createNoExitTokens(), deferrals: null, closeRoots: () => undefined };
    const expect =
      config.authorityId === undefined ? partId(identity.trustDomain, 'authority') : parseSpiffeId(config.authorityId);
    const client = connectService(tokenExchange, { address: config.authorityAddress, identity, expect, log });
    const deferrals = connectService(deferralsService, { address: config.authorityAddress, identity, expect, log });
    const exchange = openExchangeStream(client, log);
    const reuseS = () => settings()?.root_reuse_s ?? DEFAULT_ROOT_REUSE_S;
    const made = createRoots({ exchange, identity, nowS, reuseS, context: () => rootContext(env) });
    const stopFollowing = identity.onChange((what) => {
      if (what === 'identity') exchange.renew();
    });
    return {
      roots: made,
      exitTokens: createExitTokens({ exchange, identity, nowS }),
      deferrals,
      closeRoots() {
        stopFollowing();
        exchange.close();
        client.close();
        deferrals.close();
      },
    };
  }

  // Within one turn of its arrival a revocation stops calls, handles and streams.
  const stopRevoking = state.onRevocation((revocation, source) => {
    const code = revocationCode(revocation);
    const ended = running.revoke(revocation, source);
    contexts.revoke((delegation) => (revocationHits(revocation, source, delegation.revocable) ? code : null));
    roots.revoke(revocation, source);
    exitTokens.revoke(revocation, source);
    env.chains.evictRevoked(revocation, source);
    env.links.clear();
    log.info({ kind: revocation.kind, source, ended }, 'revocation in force');
  });
  const stopSnapshots = state.onSnapshot(() => {
    // What they may say, and whether they are given at all, is the snapshot's.
    exitTokens.clear();
    running.rejudge();
  });
  const stopBundles = identity.onChange((what) => {
    if (what !== 'bundle') return;
    env.chains.clear();
    roots.clear();
  });
  const sweeper = setInterval(() => {
    env.chains.evictExpired(nowS());
    env.links.evictExpired(nowS());
    env.shares.evictExpired(nowS());
    roots.evictExpired(nowS());
    exitTokens.evictExpired(nowS());
    env.hopWindow.forgetIdle(nowS());
  }, SWEEP_MS);
  sweeper.unref();

  return {
    hooks: createCallHooks(env),
    contexts,
    state,
    deferredWork: { client: deferrals, state, shares: env.shares },
    revoked: {
      isRevoked: (holder) => !state.revocations.isEmpty && isHit(state, holder),
      // After the listener above: calls end with their code before their connections do.
      onRevocation: (listener) =>
        state.onRevocation((_revocation, source) => {
          if (source === 'ca') listener();
        }),
    },
    endpointsOf(peer) {
      const compiled = state.snapshot();
      return compiled === null ? [] : (serviceOf(compiled, peer.id)?.endpoints ?? []);
    },
    async settled(stopping) {
      const late = new Promise<'late'>((resolve) => {
        setTimeout(resolve, SETTLE_MS, 'late').unref();
        stopping.addEventListener('abort', () => resolve('late'), { once: true });
      });
      const first = await Promise.race([state.whenReady(), late]);
      if (first === 'late') log.warn({}, 'no policy or live state yet; calls are denied until it comes');
    },
    async close() {
      stopRevoking();
      stopSnapshots();
      stopBundles();
      clearInterval(sweeper);
      running.close();
      contexts.close();
      closeRoots();
      await state.close();
    },
  };
}

/** Where the set is incomplete nobody is known here; each call is then refused with `revocation_stale`. */
function isHit({ revocations }: StateView, holder: SignerFacts): boolean {
  try {
    return revocations.hit({ root: null, signers: [holder] }) !== null;
  } catch {
    return false;
  }
}
