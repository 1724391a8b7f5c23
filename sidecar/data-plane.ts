/** The ports and what carries calls between them: listeners, relay, connections to peers and to the app. */
import { connect } from 'node:net';
import type { Logger } from 'pino';
import { BehalfError } from '../errors/index.ts';
import type { OwnIdentity } from '../identity/own/index.ts';
import type { RequestHead } from './call/head.ts';
import type { CallHooks, ConnectionRefusal, Peer, Verdict } from './call/seam.ts';
import {
  type AppConfig,
  DEFAULT_CONNECTIONS_PER_PEER,
  type EntryConfig,
  type MeshPortConfig,
  type ResolvedSidecarConfig,
} from './config.ts';
import { createEntryReader } from './listen/entry-from.ts';
import { openTlsPort } from './listen/entry-tls.ts';
import { type HeldPort, type HeldPorts, holdPort } from './listen/held-port.ts';
import { listenMesh } from './listen/mesh.ts';
import { type Listener, listenPlain } from './listen/plain.ts';
import type { RevokedPeers } from './listen/revoked-peers.ts';
import type { UidGuard } from './listen/uid-guard.ts';
import { parseAddress } from './wire/address.ts';
import type { Line } from './wire/exchange.ts';
import { createExitPool } from './wire/exit/pool.ts';
import { createHttp1Line } from './wire/http1/client.ts';
import { createAppH2Line } from './wire/http2/app-line.ts';
import { createMeshPool } from './wire/mesh-pool.ts';
import { createRelay } from './wire/relay.ts';

/** Calls under way get this long to end when the sidecar stops. */
const DRAIN_MS = 5_000;

export interface DataPlane {
  readonly addresses: {
    readonly mesh: string | null;
    readonly entry: string | null;
    readonly shared: string | null;
    readonly peers: Readonly<Record<string, string>>;
    readonly exits: Readonly<Record<string, string>>;
  };
  close(): Promise<void>;
}

export interface DataPlaneOptions {
  readonly config: ResolvedSidecarConfig;
  readonly identity: OwnIdentity;
  readonly hooks: CallHooks;
  readonly peers: readonly Peer[];
  /** The app's own ports; served from here on, and closed here. */
  readonly held: HeldPorts;
  readonly guard: UidGuard;
  readonly revoked: RevokedPeers;
  endpointsOf(peer: Peer): readonly string[];
  /** Puts it on record. @throws BehalfError `audit_unavailable`: then the refusal is not even answered */
  onRefused(refused: ConnectionRefusal): Promise<void>;
  readonly log: Logger;
}

export async function startDataPlane({
  config,
  identity,
  hooks,
  peers,
  held,
  guard,
  revoked,
  endpointsOf,
  onRefused,
  log,
}: DataPlaneOptions): Promise<DataPlane> {
  const nowS = () => Date.now() / 1000;
  const { connectMs, requestMs } = config.timeouts;
  const pool = createMeshPool({ identity, endpointsOf, connectTimeoutMs: connectMs, nowS, revoked, log });
  const exitPool = createExitPool({ connectTimeoutMs: connectMs });
  const app = config.app === undefined ? null : openAppLine(config.app, connectMs);
  const relay = createRelay({
    hooks,
    app,
    peerLine: pool.line,
    exitLine: exitPool.line,
    requestTimeoutMs: requestMs,
    showInnerCodes: config.entry?.refusals === 'code',
    log,
  });
  const listeners: Listener[] = [];
  const opened = <T extends Listener>(listener: T): T => {
    listeners.push(listener);
    return listener;
  };

  function serveLocal(port: HeldPort, judge: (head: RequestHead) => Verdict | Promise<Verdict>): string {
    const options = { port, kind: 'local' as const, guard, onRefused, log };
    const listener = listenPlain({ ...options, onRequest: (asker) => relay.carry(asker, () => judge(asker.head)) });
    return opened(listener).address;
  }

  try {
    const mesh = config.mesh === undefined ? null : opened(await openMesh(config.mesh)).address;
    const entry = config.entry === undefined ? null : opened(await openEntry(config.entry)).address;
    // Last: calls may be waiting on these, and go out at once.
    const addresses: Record<string, string> = {};
    for (const [i, peer] of peers.entries()) {
      const port = held.peers[i] ?? null;
      if (port !== null) addresses[peer.name] = serveLocal(port, (head) => hooks.onOutbound(head, peer));
    }
    const exits: Record<string, string> = {};
    for (const [i, { name }] of config.exits.entries())
      exits[name] = serveLocal(held.exits[i] as HeldPort, (head) => hooks.onExit(head, name));
    const shared = held.shared === null ? null : serveLocal(held.shared, (head) => hooks.onOutbound(head, null));
    return { addresses: { mesh, entry, shared, peers: addresses, exits }, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }

  function openMesh({ listen, maxConnectionsPerPeer }: MeshPortConfig): Promise<Listener> {
    return listenMesh({
      listen,
      maxPerPeer: maxConnectionsPerPeer ?? DEFAULT_CONNECTIONS_PER_PEER,
      identity,
      nowS,
      revoked,
      onRequest: (asker, peer) => relay.carry(asker, () => hooks.onInbound(asker.head, peer)),
      onRefused,
      log,
    });
  }

  async function openEntry({ listen, tls, ...rest }: EntryConfig): Promise<Listener> {
    const readFrom = createEntryReader(rest);
    return listenPlain({
      port: tls === undefined ? await holdPort(listen, { log }) : await openTlsPort(listen, tls, { log }),
      kind: 'entry',
      guard: { active: false, admit: () => true },
      onRequest: (asker, socket) => relay.carry(asker, () => hooks.onEntry(asker.head, readFrom(asker.head, socket))),
      onRefused,
      log,
    });
  }

  /** New calls stop, those under way end by themselves or are broken off after a while, then everything is closed. */
  async function close(): Promise<void> {
    for (const listener of listeners) listener.drain();
    await relay.drained(DRAIN_MS);
    relay.close();
    pool.close();
    exitPool.close();
    app?.close();
    for (const listener of listeners) listener.destroy();
  }
}

function openAppLine({ address, protocol }: AppConfig, connectTimeoutMs: number): Line & { close(): void } {
  const at = parseAddress(address);
  if (protocol === 'http1') {
    return createHttp1Line(
      at.kind === 'unix' ? { socketPath: at.path } : { host: at.host, port: at.port },
      connectTimeoutMs,
    );
  }
  if (at.kind === 'tcp' && at.port === 0)
    throw new BehalfError('config_invalid', { key: 'app.address', why: 'port 0' });
  return createAppH2Line(
    () => (at.kind === 'unix' ? connect({ path: at.path }) : connect({ host: at.host, port: at.port })),
    connectTimeoutMs,
  );
}
