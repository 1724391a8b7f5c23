/**
 * The authority's HTTP ports: plain for browsers (behind a TLS proxy, or on loopback in development), and mTLS for workloads
 * that exchange tokens without gRPC, where only `POST /token` is answered.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import { followIdentity, meshServerTlsOptions, parseListen, verifyPeer } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/index.ts';
import type { MeshPeer } from '../authority.ts';

const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 10_000, maxHeaderSize: 16_384 };
const MAX_CONNECTIONS = 2_048;
const CLOSE_GRACE_MS = 1_000;

/** A port that listens. Until it is given its answers it says 503. */
export interface HttpPort {
  readonly host: string;
  readonly port: number;
  answerWith(listener: RequestListener): void;
  /** No new connections; those that stand get `CLOSE_GRACE_MS`. */
  close(): Promise<void>;
}

/** Opens the port for browsers. @throws {BehalfError} `port_in_use` */
export async function openHttpPort(listen: string): Promise<HttpPort> {
  const later = answersLater();
  return await openPort(createServer(LIMITS, later.listener), listen, later.answerWith);
}

export interface MeshHttpPort extends HttpPort {
  /** Who is at the other end, where the request came in here. */
  peerOf(request: IncomingMessage): MeshPeer | null;
}

/** Opens the mTLS port. @throws {BehalfError} `port_in_use` */
export async function openMeshHttpPort(
  listen: string,
  { identity, clock, log }: { identity: OwnIdentity; clock: Clock; log: Logger },
): Promise<MeshHttpPort> {
  const peers = new WeakMap<object, MeshPeer>();
  const later = answersLater();
  const server = createTlsServer(
    { ...meshServerTlsOptions(identity), ...LIMITS, ALPNProtocols: ['http/1.1'] },
    (request, response) => {
      if (request.method === 'POST' && request.url === '/token') later.listener(request, response);
      else response.writeHead(404).end();
    },
  );
  // INVARIANT: before the server's own listener, so that the peer is judged before its first byte is read.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    try {
      const { spiffeId, certificateS256, notAfterS } = verifyPeer(socket, identity, clock(), 'client');
      peers.set(socket, { id: spiffeId, certificateS256 });
      const timer = setTimeout(
        () => socket.destroy(),
        Math.min(Math.max(0, (notAfterS - clock()) * 1_000), 2_147_483_647),
      );
      socket.once('close', () => clearTimeout(timer));
    } catch (error) {
      log.warn({ code: codeOf(error), err: error, address: socket.remoteAddress }, 'connection refused');
      socket.destroy();
    }
  });
  const unfollow = followIdentity(server, identity);
  const opened = await openPort(server, listen, later.answerWith);
  return {
    ...opened,
    peerOf: (request) => peers.get(request.socket) ?? null,
    close: async () => {
      unfollow();
      await opened.close();
    },
  };
}

function answersLater(): { listener: RequestListener; answerWith: (listener: RequestListener) => void } {
  let answer: RequestListener = (_request, response) => {
    response.writeHead(503, { 'Retry-After': '1' }).end();
  };
  return {
    listener: (request, response) => answer(request, response),
    answerWith: (listener) => {
      answer = listener;
    },
  };
}

async function openPort(server: Server, listen: string, answerWith: HttpPort['answerWith']): Promise<HttpPort> {
  const { host, port } = parseListen(listen);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'EADDRINUSE' ? new BehalfError('port_in_use', { where: listen }, { cause }) : cause);
    });
    server.listen({ host, port }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    answerWith,
    close: async () => {
      const grace = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
      clearTimeout(grace);
    },
  };
}
