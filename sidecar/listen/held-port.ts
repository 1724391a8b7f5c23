/**
 * The app's own ports, open before the sidecar can judge a call: an app often starts first, and "connection refused" would tell
 * it nothing. What connects is held unread until the port is served, for a bounded time and number; then it is answered
 * `trust_unavailable`. Nothing is forwarded from here, so nothing escapes the record: each refusal is handed over to be
 * recorded once there is an identity to report with.
 */
import { createServer, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { ResolvedSidecarConfig } from '../config.ts';
import { listenAt } from '../wire/address.ts';
import type { Asker } from '../wire/exchange.ts';
import { MAX_HEAD_BYTES } from '../wire/fields.ts';
import { createHttp1Server } from '../wire/http1/server.ts';
import { takeHttp2 } from '../wire/http2/server.ts';
import { refusalAnswer } from '../wire/refusal.ts';
import { afterFirstBytes } from './first-bytes.ts';
import type { ServedPort } from './plain.ts';

/** A connection is held this long for the sidecar to become able to judge. */
const HOLD_MS = 10_000;
/** Connections held at once on one port; further ones are closed unanswered. */
const MAX_HELD = 1_024;

/** A port that takes connections; who they go to is said later. */
export interface HeldPort extends ServedPort {
  /** Addresses of connections that were answered `trust_unavailable` so far; taken once. */
  takeRefused(): readonly string[];
}

/** The ports of one sidecar that its app calls. */
export interface HeldPorts {
  /** As the configuration lists the peers; null for one without a port of its own. */
  readonly peers: readonly (HeldPort | null)[];
  /** As the configuration lists the exits. */
  readonly exits: readonly HeldPort[];
  readonly shared: HeldPort | null;
  takeRefused(): readonly string[];
  close(): void;
}

interface HoldOptions {
  readonly log: Logger;
  readonly holdMs?: number;
}

/**
 * Opens the app's ports.
 * @throws {BehalfError} `port_in_use`, `config_invalid`
 */
export async function holdAppPorts(
  { peers, exits, shared }: Pick<ResolvedSidecarConfig, 'peers' | 'exits' | 'shared'>,
  options: HoldOptions,
): Promise<HeldPorts> {
  const open: HeldPort[] = [];
  const close = (): void => {
    for (const port of open) port.close();
  };
  const hold = async (listen: string): Promise<HeldPort> => {
    const port = await holdPort(listen, options);
    open.push(port);
    return port;
  };
  try {
    const ofPeers: (HeldPort | null)[] = [];
    for (const { listen } of peers) ofPeers.push(listen === undefined ? null : await hold(listen));
    const ofExits: HeldPort[] = [];
    for (const { listen } of exits) ofExits.push(await hold(listen));
    const takeRefused = (): readonly string[] => open.flatMap((port) => port.takeRefused());
    return {
      peers: ofPeers,
      exits: ofExits,
      shared: shared === undefined ? null : await hold(shared.listen),
      takeRefused,
      close,
    };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

/**
 * Opens a port that nobody serves yet.
 * @throws {BehalfError} `port_in_use`, `config_invalid`
 */
export async function holdPort(listen: string, { log, holdMs = HOLD_MS }: HoldOptions): Promise<HeldPort> {
  const held = new Map<Socket, NodeJS.Timeout>();
  /** Being answered that nobody can judge. */
  const late = new Set<Socket>();
  let refused: string[] = [];
  let onConnection = hold;
  const http1 = createHttp1Server({
    maxHeadBytes: MAX_HEAD_BYTES,
    onRequest: refuse,
    onMalformed: (_error, socket) => socket.destroy(),
  });

  function hold(socket: Socket): void {
    if (held.size >= MAX_HELD) {
      socket.destroy();
      return;
    }
    socket.on('error', ignore); // 'close' follows
    socket.once('close', () => release(socket));
    held.set(socket, setTimeout(answerLate, holdMs, socket));
  }

  function release(socket: Socket): void {
    clearTimeout(held.get(socket));
    held.delete(socket);
    late.delete(socket);
  }

  function answerLate(socket: Socket): void {
    release(socket);
    late.add(socket);
    if (refused.length === 0) log.warn({ waitedMs: holdMs }, 'no identity yet: calls of the app are refused');
    if (refused.length < MAX_HELD) refused.push(socket.remoteAddress ?? '');
    afterFirstBytes(socket, (protocol) => {
      if (protocol === 'http/1.1') http1.take(socket);
      else
        takeHttp2(socket, {
          maxHeadBytes: MAX_HEAD_BYTES,
          onRequest: (asker) => refuse(asker, socket),
          onMalformed: () => socket.destroy(),
          onClose: ignore,
        });
    });
  }

  const server = createServer({ noDelay: true, pauseOnConnect: true, allowHalfOpen: true }, (socket) =>
    onConnection(socket),
  );
  const address = await listenAt(server, listen);
  return {
    address,
    server,
    serve(next) {
      onConnection = next;
      for (const socket of [...held.keys()]) {
        release(socket);
        next(socket);
      }
    },
    takeRefused() {
      const taken = refused;
      refused = [];
      return taken;
    },
    close() {
      server.close();
      http1.close();
      for (const socket of [...held.keys(), ...late]) socket.destroy();
    },
  };
}

/** Answers and ends the connection, so that the next call comes on one that may be served. */
function refuse(asker: Asker, socket: { end(): unknown }): void {
  const error = new BehalfError('trust_unavailable', { why: 'the sidecar has no identity yet' });
  const { head, body } = refusalAnswer(error, {
    audience: 'app',
    protocol: asker.head.protocol,
    hop: null,
    fields: [],
  });
  asker.sendWhole(head, body);
  setImmediate(() => socket.end());
}

function ignore(): void {}
