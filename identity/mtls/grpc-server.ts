/**
 * The mesh's gRPC server: our own listeners and TLS, so that every peer is judged before its first byte is read, then grpc-js
 * on the checked socket (one injector a connection). Handlers get the caller as a fact; refusals become statuses in one place.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { Service } from '../../proto/service.ts';
import { CERTIFICATE_BACKDATE_S, type Clock, systemClock } from '../clock.ts';
import type { OwnIdentity } from '../own/own-identity.ts';
import { peerOfUnixSocket } from '../socket-facts.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import { type Caller, credentialsOf } from './caller.ts';
import { CONNECTION_LIMITS, createCrowd } from './crowd.ts';
import { type Implementation, toHandlers } from './handlers.ts';
import { followIdentity, meshServerTlsOptions } from './tls-options.ts';
import { verifyPeer } from './verify-peer.ts';

export interface GrpcServer {
  /** Serves a service. Call it before listening. */
  add<T>(service: Service<T>, implementation: Implementation<T>): void;
  /**
   * Listens with mTLS and gives the port. Peers without certificate are refused, unless `allowAnonymous`.
   * @throws {BehalfError} `port_in_use`
   */
  listen(at: { readonly host: string; readonly port: number }): Promise<number>;
  /** Listens on a Unix socket, mode 0666: whoever calls is known by uid. A socket file left by a dead process is removed. */
  listenUnix(path: string): Promise<void>;
  /** Ends the connections of peers that `isRevoked` now names: call it at each revocation. Gives how many. */
  endRevoked(): number;
  /** Ends: no new connections, running calls get `CLOSE_GRACE_MS`. */
  close(): Promise<void>;
}

const ALPN = 'h2';
const MAX_CONNECTIONS = 8192;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Calls at once on one connection; more wait at the client. */
const MAX_CONNECTION_STREAMS = 128;
/** Whoever has no certificate comes to obtain one, which takes a moment. */
const ANONYMOUS_LIFE_S = 60;
const CLOSE_GRACE_MS = 500;
/** Node's timers take 31 bits. */
const MAX_TIMER_MS = 2_147_483_647;

const OPTIONS: grpc.ServerOptions = {
  'grpc.enable_channelz': 0,
  'grpc.max_concurrent_streams': MAX_CONNECTION_STREAMS,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** A revoked peer's standing connections get this long, so that the peer may still learn of it on one of them. */
const REVOKED_GRACE_MS = 250;
/** A revoked peer's new connection is answered with its code and ends after this. */
const REFUSED_FOR_MS = 5_000;

/** What a TLS peer proved, as revocations know it. */
export interface ProvenPeer {
  readonly spiffeId: SpiffeId;
  readonly serialHex: string;
  /** base64url SHA-256. */
  readonly certificateS256: string;
  /** When the certificate was really issued, without the backdating; seconds. */
  readonly issuedS: number;
}

interface Connection {
  readonly socket: Socket;
  readonly injector: { destroy(): void };
  readonly peer: ProvenPeer | null;
  isRevoked: boolean;
}

export interface GrpcServerOptions {
  readonly identity: OwnIdentity;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Lets TLS peers without a certificate in, with `caller.id` null: for who has no identity yet. Handlers then decide. */
  readonly allowAnonymous?: boolean;
  /** Longest request, in bytes; 16 MiB by default. Requests are held in memory until they are whole. */
  readonly maxMessageBytes?: number;
  /** Whether a peer was revoked: its connections then end, and calls on new ones are refused with `peer_revoked`. */
  readonly isRevoked?: (peer: ProvenPeer) => boolean;
}

/** Makes a server that shows `identity`'s current certificate and takes peers that lead to its bundle. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { identity, log } = options;
  const allowAnonymous = options.allowAnonymous ?? false;
  const clock = options.clock ?? systemClock;
  const maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  const server = new grpc.Server({ ...OPTIONS, 'grpc.max_receive_message_length': maxMessageBytes });
  const crowd = createCrowd(CONNECTION_LIMITS);
  const listeners = new Set<Server>();
  const connections = new Set<Connection>();
  const undo: (() => void)[] = [];

  const isRevoked = options.isRevoked ?? (() => false);

  const admit = (socket: Socket, caller: Caller, peer: ProvenPeer | null): Connection => {
    socket.once('close', crowd.enter(caller));
    const injector = server.createConnectionInjector(
      credentialsOf(caller, () =>
        connection.isRevoked ? new BehalfError('peer_revoked', { serial: caller.serialHex }) : null,
      ),
    );
    const connection: Connection = { socket, injector, peer, isRevoked: peer !== null && isRevoked(peer) };
    connections.add(connection);
    socket.once('close', () => {
      connections.delete(connection);
      injector.destroy();
    });
    injector.injectConnection(socket);
    return connection;
  };

  const endSoon = (connection: Connection, afterMs: number): void => {
    const { socket, peer } = connection;
    connection.isRevoked = true;
    log.warn({ code: 'peer_revoked', peer: peer?.spiffeId, serial: peer?.serialHex }, 'connection ends');
    const timer = setTimeout(() => socket.destroy(), afterMs);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  };

  const admitTls = (socket: TLSSocket): void => {
    socket.on('error', (error) => log.debug({ err: error }, 'connection failed'));
    try {
      if (socket.alpnProtocol !== ALPN)
        throw new BehalfError('request_malformed', { why: 'the peer does not speak h2' });
      const caller = callerOfTls(socket, identity, clock(), allowAnonymous);
      const connection = admit(socket, caller.facts, caller.peer);
      if (connection.isRevoked) endSoon(connection, REFUSED_FOR_MS);
      endAt(socket, caller.notAfterS ?? clock() + ANONYMOUS_LIFE_S, clock());
    } catch (error) {
      log.warn({ code: codeOf(error), err: error, address: socket.remoteAddress }, 'connection refused');
      socket.destroy();
    }
  };

  return {
    add: (service, implementation) => {
      server.addService(service.definition, toHandlers(service, implementation, log));
    },
    listen: async ({ host, port }) => {
      const tls = createTlsServer({ ...meshServerTlsOptions(identity), ALPNProtocols: [ALPN] }, admitTls);
      tls.on('tlsClientError', (error, socket) => {
        log.debug({ err: error, address: socket.remoteAddress }, 'handshake failed');
      });
      tls.maxConnections = MAX_CONNECTIONS;
      undo.push(followIdentity(tls, identity));
      await listening(tls, { host, port });
      listeners.add(tls);
      const address = tls.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
      return address.port;
    },
    listenUnix: async (path) => {
      const unix = createServer((socket) => {
        socket.on('error', (error) => log.debug({ err: error }, 'connection failed'));
        try {
          admit(
            socket,
            { id: null, serialHex: null, certificateS256: null, issuedS: null, unix: peerOfUnixSocket(socket) },
            null,
          );
        } catch (error) {
          log.warn({ code: codeOf(error), err: error }, 'connection refused');
          socket.destroy();
        }
      });
      unix.maxConnections = MAX_CONNECTIONS;
      rmSync(path, { force: true });
      await listening(unix, { path });
      listeners.add(unix);
      chmodSync(path, 0o666);
    },
    endRevoked: () => {
      let ended = 0;
      for (const connection of connections) {
        if (connection.isRevoked || connection.peer === null || !isRevoked(connection.peer)) continue;
        endSoon(connection, REVOKED_GRACE_MS);
        ended += 1;
      }
      return ended;
    },
    close: async () => {
      for (const stop of undo) stop();
      const closed = [...listeners].map((listener) => new Promise<void>((done) => listener.close(() => done())));
      for (const { injector } of connections) injector.destroy();
      const grace = setTimeout(() => {
        for (const { socket } of connections) socket.destroy();
      }, CLOSE_GRACE_MS);
      await Promise.all(closed);
      clearTimeout(grace);
      server.forceShutdown();
    },
  };
}

function callerOfTls(
  socket: TLSSocket,
  identity: OwnIdentity,
  nowS: number,
  allowAnonymous: boolean,
): { facts: Caller; peer: ProvenPeer | null; notAfterS: number | null } {
  if (allowAnonymous && socket.getPeerX509Certificate() === undefined) {
    return {
      facts: { id: null, serialHex: null, certificateS256: null, issuedS: null, unix: null },
      peer: null,
      notAfterS: null,
    };
  }
  const svid = verifyPeer(socket, identity, nowS, 'client');
  const { spiffeId, serialHex, certificateS256, notBeforeS, notAfterS } = svid;
  const issuedS = notBeforeS + CERTIFICATE_BACKDATE_S;
  return {
    facts: { id: spiffeId, serialHex, certificateS256, issuedS, unix: null },
    peer: { spiffeId, serialHex, certificateS256, issuedS },
    notAfterS,
  };
}

/** A connection does not outlive the certificate that it began with; clients have moved to a new one by then. */
function endAt(socket: TLSSocket, notAfterS: number, nowS: number): void {
  const timer = setTimeout(() => socket.destroy(), Math.min(Math.max(0, (notAfterS - nowS) * 1000), MAX_TIMER_MS));
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

function listening(server: Server, at: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const where = 'path' in at ? at.path : `${at.host}:${at.port}`;
      reject(cause.code === 'EADDRINUSE' ? new BehalfError('port_in_use', { where }, { cause }) : cause);
    });
    server.listen(at, () => {
      server.removeAllListeners('error');
      server.on('error', () => undefined);
      resolve();
    });
  });
}
