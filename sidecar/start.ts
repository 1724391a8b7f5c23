/**
 * Starts a sidecar: identity, record, mesh state, then the ports. The order is the order of what a call needs, so that no
 * port takes a call that could not be judged or put on record. Aborting the signal drains and ends it.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { aborted } from 'node:util';
import type { Logger } from 'pino';
import { openReporter, type Reporter } from '../audit/report/index.ts';
import { createHopMinter, HOP_PREFIX_BYTES } from '../delegation/index.ts';
import { BehalfError } from '../errors/index.ts';
import { parseSpiffeId } from '../identity/index.ts';
import { type OwnIdentity, openIdentity } from '../identity/own/index.ts';
import { createMtlsHooks } from './call/mtls-hooks.ts';
import type { CallHooks, ConnectionRefusal, Peer } from './call/seam.ts';
import { type PeerConfig, type ResolvedSidecarConfig, resolveConfig, type SidecarConfig } from './config.ts';
import { startDataPlane } from './data-plane.ts';
import { type FullMode, startFullMode } from './full-mode.ts';
import { type HeldPorts, holdAppPorts } from './listen/held-port.ts';
import { NOBODY_REVOKED } from './listen/revoked-peers.ts';
import { createUidGuard } from './listen/uid-guard.ts';
import { startLocalApi } from './local-api/index.ts';
import {
  CALLS_PER_ADDRESS,
  CALLS_PER_CODE,
  createRefusedConnections,
  REFUSALS_WINDOW_MS,
  type RefusalLimits,
  type RefusedConnections,
} from './report/refused-connections.ts';

const MAX_SEGMENT_BYTES = 4 * 1_048_576;

/** Addresses that were taken; null where the configuration has none. */
export interface SidecarReady {
  readonly service: string;
  readonly mesh: string | null;
  readonly entry: string | null;
  readonly shared: string | null;
  readonly localApi: string | null;
  readonly peers: Readonly<Record<string, string>>;
  readonly exits: Readonly<Record<string, string>>;
  readonly workloadApi: string | null;
}

export interface SidecarDeps {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How long the app's calls wait for an identity before they get `trust_unavailable`; 10 s. */
  readonly holdMs?: number;
}

export interface RunningSidecar {
  readonly ready: SidecarReady;
  /** Resolves when everything has ended after the signal. */
  readonly closed: Promise<void>;
}

/**
 * @throws {BehalfError} `config_invalid`, `attestation_failed` and what else the CA refuses with, `port_in_use`,
 *   `data_directory_unusable`
 */
export async function startSidecar(config: SidecarConfig, deps: SidecarDeps): Promise<RunningSidecar> {
  const held = await holdAppPorts(checkConfig(resolveConfig(config)), deps);
  try {
    const { log, signal } = deps;
    const identity = await openIdentity({ trust: config.trust, dataDir: config.dataDir, log, signal });
    try {
      return await runSidecar(config, identity, deps, held);
    } catch (thrown) {
      await identity.close();
      throw thrown;
    }
  } catch (thrown) {
    held.close();
    throw thrown;
  }
}

/** The same with an identity that is already there, and the app's ports where they are open; closed with the sidecar. */
export async function runSidecar(
  given: SidecarConfig,
  identity: OwnIdentity,
  deps: SidecarDeps,
  heldSoFar: HeldPorts | null = null,
): Promise<RunningSidecar> {
  const config = checkConfig(resolveConfig(given));
  const me = parseSpiffeId(config.service);
  if (identity.spiffeId !== me) throw new BehalfError('config_invalid', { service: me, issued: identity.spiffeId });
  const ends: End[] = [];
  try {
    const held = heldSoFar ?? (await holdAppPorts(config, deps));
    ends.push(held.close);
    const ready = await openParts(config, identity, held, deps, ends);
    const closed = aborted(deps.signal, deps.signal).then(async () => {
      await closeAll(ends, deps.log);
      await identity.close();
    });
    return { ready, closed };
  } catch (thrown) {
    await closeAll(ends, deps.log);
    throw thrown;
  }
}

/** What ends a part that was opened; the last one opened ends first. */
type End = () => void | Promise<void>;

/** Opens part after part; what is open stands in `ends`, also where a later one fails. */
async function openParts(
  config: ResolvedSidecarConfig,
  identity: OwnIdentity,
  held: HeldPorts,
  { log, signal: stopping }: SidecarDeps,
  ends: End[],
): Promise<SidecarReady> {
  const stop = new AbortController();
  const { signal } = stop;
  ends.push(() => stop.abort());
  const reporter = openReporter({
    spoolDir: join(config.dataDir, 'spool'),
    collectorAddress: config.collectorAddress,
    identity,
    log,
    signal,
    ...spoolOptions(config),
  });
  ends.push(reporter.close);
  ends.push(() => reporter.record({ body: 'part', part: { state: 'stopped', detail: 'sidecar' } }));
  const refused = openRefused(reporter, signal);
  const onRefused = refused.record;
  ends.push(refused.close);
  const refusedCalls = openRefused(reporter, signal, {
    wholePerAddress: CALLS_PER_ADDRESS,
    wholePerCode: CALLS_PER_CODE,
  });
  ends.push(refusedCalls.close);
  const peers = config.peers.map(peerOf);
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  const peerNamed = (authority: string) => byName.get(hostOf(authority)) ?? null;
  const full =
    config.mode === 'full' ? startFullMode({ config, identity, reporter, refusedCalls, peerNamed, log, signal }) : null;
  if (full !== null) ends.push(full.close);
  await full?.settled(stopping);
  const localApi = await openLocalApi({ config, full, identity, reporter, onRefused, log, signal });
  if (localApi !== null) ends.push(localApi.close);
  const workloadApi = await openWorkloadApi(config, identity, log, signal);
  if (workloadApi !== null) ends.push(workloadApi.close);
  // Last, so that it ends first: calls under way may still ask the local API.
  const plane = await startDataPlane({
    config,
    identity,
    hooks: full?.hooks ?? mtlsHooks(identity, reporter, peerNamed),
    peers,
    held,
    guard: createUidGuard({ allowedUid: config.allowedUid ?? null, log }),
    revoked: full?.revoked ?? NOBODY_REVOKED,
    endpointsOf: full?.endpointsOf ?? noEndpoints,
    onRefused,
    log,
  });
  ends.push(plane.close);
  await recordHeldBack(held, onRefused, log);
  await reporter.record({ body: 'part', part: { state: 'started', detail: 'sidecar' } }).catch((thrown) => {
    // A full spool denies calls until there is room; the sidecar itself goes on.
    log.error({ err: thrown }, 'start could not be put on record');
  });
  return {
    service: identity.spiffeId,
    ...plane.addresses,
    localApi: localApi?.address ?? null,
    workloadApi: workloadApi === null ? null : (config.workloadApi?.socket ?? null),
  };
}

/** A small spool gets small segments, as it must hold some of them. */
function spoolOptions({ audit }: ResolvedSidecarConfig) {
  const maxBytes = audit?.maxSpoolBytes;
  return {
    ...(audit?.durability === undefined ? {} : { durability: audit.durability }),
    ...(maxBytes === undefined
      ? {}
      : { maxBytes, segmentBytes: Math.min(MAX_SEGMENT_BYTES, Math.floor(maxBytes / 4)) }),
  };
}

/** What the app was refused before there was an identity to report with. */
async function recordHeldBack(
  held: HeldPorts,
  onRefused: (refused: ConnectionRefusal) => Promise<void>,
  log: Logger,
): Promise<void> {
  const error = new BehalfError('trust_unavailable', { why: 'the sidecar had no identity yet' });
  try {
    for (const address of held.takeRefused())
      await onRefused({ listener: 'local', error, address, peer: '', peerSerialHex: '' });
  } catch (thrown) {
    log.warn({ err: thrown }, 'calls refused before the identity came could not be put on record');
  }
}

async function closeAll(ends: End[], log: Logger): Promise<void> {
  for (const end of ends.splice(0).reverse()) {
    try {
      await end();
    } catch (thrown) {
      log.warn({ err: thrown }, 'a part of the sidecar did not end cleanly');
    }
  }
}

function mtlsHooks(
  identity: OwnIdentity,
  reporter: Reporter,
  peerNamed: (authority: string) => Peer | null,
): CallHooks {
  return createMtlsHooks({
    identity,
    me: identity.spiffeId,
    reporter,
    hopMinter: createHopMinter(randomBytes(HOP_PREFIX_BYTES)),
    nowS: () => Date.now() / 1000,
    random: randomBytes,
    peerNamed,
  });
}

/** One place for the refused connections of all ports, so that the bound is one for all. */
function openRefused(reporter: Reporter, signal: AbortSignal, limits: RefusalLimits = {}): RefusedConnections {
  const refused = createRefusedConnections({ reporter, ...limits });
  const sweeper = setInterval(refused.sweep, REFUSALS_WINDOW_MS);
  sweeper.unref();
  signal.addEventListener('abort', () => clearInterval(sweeper), { once: true });
  return refused;
}

interface LocalApiParts extends SidecarDeps {
  readonly config: ResolvedSidecarConfig;
  readonly full: FullMode | null;
  readonly identity: OwnIdentity;
  readonly reporter: Reporter;
  onRefused(refused: ConnectionRefusal): Promise<void>;
}

function openLocalApi({ config, full, identity, reporter, onRefused, log, signal }: LocalApiParts) {
  if (config.localApi === undefined || full === null) return Promise.resolve(null);
  const { contexts, state, deferredWork } = full;
  const allowedUid = config.allowedUid ?? null;
  return startLocalApi({
    listen: config.localApi.listen,
    contexts,
    state,
    service: identity.spiffeId,
    deferredWork,
    reporter,
    onRefused,
    allowedUid,
    log,
    signal,
  });
}

async function openWorkloadApi(config: ResolvedSidecarConfig, identity: OwnIdentity, log: Logger, signal: AbortSignal) {
  if (config.workloadApi === undefined) return null;
  // Loaded only where it is served: it brings libraries that no call needs.
  const { startWorkloadApi } = await import('./workload-api/index.ts');
  return startWorkloadApi({
    socket: config.workloadApi.socket,
    identity,
    allowedUid: config.allowedUid ?? null,
    log,
    signal,
  });
}

/** What the schema cannot say. */
function checkConfig(config: ResolvedSidecarConfig): ResolvedSidecarConfig {
  if (config.mode === 'mtls' && config.devMode !== true) {
    throw new BehalfError('config_invalid', {
      key: 'mode',
      why: '`mtls` checks no delegation and no policy; it needs `devMode: true`',
    });
  }
  const names = new Set(config.peers.map(({ name }) => name));
  if (names.size !== config.peers.length)
    throw new BehalfError('config_invalid', { key: 'peers', why: 'a name twice' });
  const forward = config.entry?.forward;
  if (forward !== undefined && !names.has(forward))
    throw new BehalfError('config_invalid', { key: 'entry.forward', why: 'no peer of that name' });
  if (config.entry !== undefined && config.mode === 'full' && config.authorityAddress === undefined) {
    throw new BehalfError('config_invalid', { key: 'authorityAddress', why: 'an entry listener needs it' });
  }
  return config;
}

function peerOf({ name, id, endpoints }: PeerConfig): Peer {
  return { name, id: parseSpiffeId(id), endpoints: endpoints ?? null };
}

/** The host of an authority, without its port and a final dot. */
function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(':');
  const host = colon < 0 ? authority : authority.slice(0, colon);
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function noEndpoints(): readonly string[] {
  return [];
}
