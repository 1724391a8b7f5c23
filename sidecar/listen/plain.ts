/**
 * A port that speaks HTTP/1.1 and HTTP/2, told apart by the first bytes, whatever ALPN has said (RFC 9113 section 3.4): the app's
 * own ports, and the entry listener, which may have TLS below.
 */
import type { Server, Socket } from 'node:net';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { ConnectionRefusal } from '../call/seam.ts';
import type { Asker } from '../wire/exchange.ts';
import { MAX_HEAD_BYTES } from '../wire/fields.ts';
import { createHttp1Server } from '../wire/http1/server.ts';
import { type Http2Connection, RESETS_OF_ONE_CLIENT, takeHttp2 } from '../wire/http2/server.ts';
import { refusalAnswer } from '../wire/refusal.ts';
import { afterFirstBytes } from './first-bytes.ts';
import type { UidGuard } from './uid-guard.ts';

/** Connections at once; further ones are closed unanswered. */
const MAX_CONNECTIONS = 8_192;
/** As HTTP/1.1 keeps them. */
const IDLE_MS = 75_000;

/** A port that is open: plain (`held-port.ts`), or with TLS (`entry-tls.ts`). */
export interface ServedPort {
  /** The address taken, `host:port`. */
  readonly address: string;
  readonly server: Server;
  /** Hands over what connects from now on. Once. */
  serve(onConnection: (socket: Socket) => void): void;
  close(): void;
}

export interface PlainListenerOptions {
  /** Closed with the listener. */
  readonly port: ServedPort;
  readonly kind: 'local' | 'entry';
  readonly guard: UidGuard;
  onRequest(asker: Asker, socket: Socket): void;
  onRefused(refused: ConnectionRefusal): Promise<void>;
  readonly log: Logger;
}

export interface Listener {
  /** The address taken, `host:port`. */
  readonly address: string;
  /** Takes no new connections and ends those that stand once their calls are answered. */
  drain(): void;
  destroy(): void;
}

/** Serves a port. */
export function listenPlain(options: PlainListenerOptions): Listener {
  const { port, kind, guard, log } = options;
  const sockets = new Set<Socket>();
  const sessions = new Set<Http2Connection>();
  const refusedSockets = new WeakSet<Socket>();

  const http1 = createHttp1Server({
    maxHeadBytes: MAX_HEAD_BYTES,
    onRequest(asker, socket) {
      if (refusedSockets.has(socket)) answerThenClose(new BehalfError('local_peer_refused'), asker, socket);
      else options.onRequest(asker, socket);
    },
    onMalformed(error, socket, answer) {
      report(error, socket, () => {
        const { head, body } = refusalAnswer(error, { audience: 'app', protocol: 'http/1.1', hop: null, fields: [] });
        answer(head, body);
      });
    },
  });

  function takeH2(socket: Socket): void {
    const session = takeHttp2(socket, {
      maxHeadBytes: MAX_HEAD_BYTES,
      idleMs: IDLE_MS,
      ...(kind === 'entry' ? { resets: RESETS_OF_ONE_CLIENT } : {}),
      onRequest(asker) {
        if (refusedSockets.has(socket)) answerThenClose(new BehalfError('local_peer_refused'), asker, socket);
        else options.onRequest(asker, socket);
      },
      onMalformed: (error, asker) => report(error, socket, () => refuseOn(asker, error)),
      onClose: () => void sessions.delete(session),
    });
    sessions.add(session);
  }

  function onConnection(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', ignore); // 'close' follows
    socket.setNoDelay(true);
    afterFirstBytes(socket, (protocol) => {
      // The owner of a socket shows in the kernel's table once the connection stands: now, not a call earlier.
      if (guard.admit(socket)) {
        if (protocol === 'h2') takeH2(socket);
        else http1.take(socket);
        return;
      }
      refusedSockets.add(socket);
      report(new BehalfError('local_peer_refused'), socket, () => {
        if (protocol === 'h2') takeH2(socket);
        else http1.take(socket);
      });
    });
  }

  /** Puts a refusal on record, then answers it; unrecorded, nothing is answered. */
  function report(error: BehalfError, socket: Socket, answer: () => void): void {
    options
      .onRefused({ listener: kind, error, address: socket.remoteAddress ?? '', peer: '', peerSerialHex: '' })
      .then(answer)
      .catch((thrown) => {
        log.warn({ err: thrown }, 'refused connection could not be put on record');
        socket.destroy();
      });
  }

  port.server.maxConnections = MAX_CONNECTIONS;
  port.serve(onConnection);
  return {
    address: port.address,
    drain() {
      port.server.close();
      http1.close();
      for (const session of sessions) session.drain();
    },
    destroy() {
      port.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function refuseOn(asker: Asker, error: BehalfError): void {
  const { head, body } = refusalAnswer(error, {
    audience: 'app',
    protocol: asker.head.protocol,
    hop: null,
    fields: [],
  });
  asker.sendWhole(head, body);
}

function answerThenClose(error: BehalfError, asker: Asker, socket: Socket): void {
  refuseOn(asker, error);
  setImmediate(() => socket.end());
}

function ignore(): void {}
