/**
 * Connections to destinations outside the mesh: TLS that proves the name the exit says (RFC 9525, RFC 8446), or plain where it says
 * so, to addresses that were looked at, then HTTP/2 or HTTP/1.1 as ALPN agrees. Nothing is sent before the other side is
 * proved. Nothing of ours is shown: no client certificate, no ticket of an earlier session.
 */
import http from 'node:http';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate, connect as tlsConnect } from 'node:tls';
import { BehalfError } from '../../../errors/index.ts';
import type { RequestHead } from '../../call/head.ts';
import type { ExitTarget } from '../../call/seam.ts';
import type { Line } from '../exchange.ts';
import { createHttp1LineOver } from '../http1/client.ts';
import { askUpgradeOver } from '../http1/upgrade-client.ts';
import { type Http2Line, openHttp2Line } from '../http2/client.ts';
import { addressesOf, type Resolve, type Resolved } from './addresses.ts';

/** HTTP/1.1 connections to one exit in use at once; more calls than that wait for one, within their timeout. */
const MAX_SOCKETS = 256;
const MAX_IDLE_SOCKETS = 32;
/** HTTP/2: requests on one connection before another is opened, and connections at most. */
const STREAMS_PER_CONNECTION = 100;
const MAX_CONNECTIONS = 4;
/** Calls that may wait for the first connection of an exit; the answer beyond it is `overloaded`. */
const MAX_WAITING = 1_024;
/** An exit that nobody called for this long loses its connections. */
const IDLE_MS = 60_000;
const SWEEP_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

export interface ExitPool {
  /**
   * Something to put one call on, at once: a connection of a WebSocket's own is closed where nothing is put on it.
   * @throws {BehalfError} `exit_untrusted`, `exit_address_refused`, `upstream_unavailable`, `overloaded`
   */
  line(exit: ExitTarget, protocol: RequestHead['protocol']): Promise<Line>;
  close(): void;
}

export interface ExitPoolOptions {
  readonly connectTimeoutMs: number;
  readonly resolve?: Resolve;
}

/** What is known of one exit: nothing yet, or which of the two it speaks. */
interface Way {
  readonly exit: ExitTarget;
  readonly http2: Http2Line[];
  http1: { readonly line: Line; busy(): boolean; close(): void } | null;
  opening: Promise<Line> | null;
  waiting: number;
  usedMs: number;
}

export function createExitPool({ connectTimeoutMs, resolve }: ExitPoolOptions): ExitPool {
  const ways = new Map<string, Way>();
  const sockets = new Set<Socket>();
  let closed = false;

  async function line(exit: ExitTarget, protocol: RequestHead['protocol']): Promise<Line> {
    const way = wayTo(exit);
    way.usedMs = performance.now();
    if (protocol === 'websocket') return webSocketLine(exit);
    if (way.http1 !== null) return way.http1.line;
    const best = leastLoaded(way.http2);
    if (best !== null && (best.load() < STREAMS_PER_CONNECTION || way.http2.length >= MAX_CONNECTIONS)) return best;
    if (way.waiting >= MAX_WAITING) throw new BehalfError('overloaded', { to: exit.name });
    way.waiting += 1;
    try {
      way.opening ??= open(way).finally(() => {
        way.opening = null;
      });
      return await way.opening;
    } finally {
      way.waiting -= 1;
    }
  }

  /** Servers outside take WebSockets over HTTP/1.1 (RFC 6455), each on a connection that it then is. */
  async function webSocketLine(exit: ExitTarget): Promise<Line> {
    const { socket } = await connect(exit, ['http/1.1']);
    let isUsed = false;
    setImmediate(() => {
      if (!isUsed) socket.destroy();
    });
    return {
      ask(head) {
        isUsed = true;
        return askUpgradeOver(head, socket);
      },
    };
  }

  /** INVARIANT: the key is all that says where a connection goes and what it has to prove. */
  function wayTo(exit: ExitTarget): Way {
    const key = JSON.stringify(exit);
    let way = ways.get(key);
    if (way === undefined) {
      way = { exit, http2: [], http1: null, opening: null, waiting: 0, usedMs: 0 };
      ways.set(key, way);
    }
    return way;
  }

  async function open(way: Way): Promise<Line> {
    const { socket, speaksHttp2 } = await connect(way.exit, ['h2', 'http/1.1']);
    if (!speaksHttp2) {
      way.http1 = http1Over(way.exit, socket);
      return way.http1.line;
    }
    const opened: Http2Line = openHttp2Line(
      socket,
      way.exit.authority,
      {
        onUnusable: () => {
          const at = way.http2.indexOf(opened);
          if (at >= 0) way.http2.splice(at, 1);
        },
        onClose: ignore,
      },
      null,
      'https',
    );
    way.http2.push(opened);
    return opened;
  }

  /** The first connection is there, and proved; further ones prove themselves before they are given out. */
  function http1Over(exit: ExitTarget, first: Socket) {
    let spare: Socket | null = first;
    const agent = new http.Agent({
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      maxFreeSockets: MAX_IDLE_SOCKETS,
      scheduling: 'lifo',
    });
    agent.createConnection = (_options, done) => {
      const ready = spare;
      spare = null;
      if (ready !== null && !ready.destroyed) return ready;
      connect(exit, ['http/1.1']).then(
        ({ socket }) => done?.(null, socket),
        (error: Error) => done?.(error, undefined as unknown as Socket),
      );
      return null;
    };
    return {
      line: createHttp1LineOver(agent, exit),
      busy: () => Object.keys(agent.sockets).length > 0,
      close: () => agent.destroy(),
    };
  }

  async function connect(exit: ExitTarget, alpn: string[]): Promise<{ socket: Socket; speaksHttp2: boolean }> {
    if (closed) throw new BehalfError('upstream_unavailable', { to: exit.name, why: 'closed' });
    const late = AbortSignal.timeout(connectTimeoutMs);
    const addresses = await beforeEnd(late, exit, addressesOf(exit.host, { ...exit, exit: exit.name }, resolve));
    return new Promise((settle, reject) => {
      const where = { host: exit.host, port: exit.port, lookup: lookupAmong(addresses), autoSelectFamily: true };
      const socket =
        exit.tls === null ? netConnect(where) : tlsConnect({ ...where, ...tlsOptions(exit.host, exit.tls, alpn) });
      sockets.add(socket);
      const onLate = () =>
        fail(new BehalfError('upstream_unavailable', { to: exit.name, why: 'connecting took too long' }));
      late.addEventListener('abort', onLate, { once: true });
      function fail(error: BehalfError): void {
        late.removeEventListener('abort', onLate);
        socket.destroy();
        reject(error);
      }
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.on('error', (error) => fail(connectError(exit, socket, error)));
      socket.on('close', () => {
        sockets.delete(socket);
        fail(new BehalfError('upstream_unavailable', { to: exit.name, why: 'closed while connecting' }));
      });
      socket.once(exit.tls === null ? 'connect' : 'secureConnect', () => {
        late.removeEventListener('abort', onLate);
        settle({ socket, speaksHttp2: 'alpnProtocol' in socket && socket.alpnProtocol === 'h2' });
      });
    });
  }

  function sweep(): void {
    const before = performance.now() - IDLE_MS;
    for (const [key, way] of ways) {
      if (way.usedMs > before || isBusy(way)) continue;
      endWay(way);
      ways.delete(key);
    }
  }
  const sweeper = setInterval(sweep, SWEEP_MS);
  sweeper.unref();

  return {
    line,
    close() {
      closed = true;
      clearInterval(sweeper);
      for (const way of ways.values()) endWay(way);
      ways.clear();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function isBusy({ opening, http1, http2 }: Way): boolean {
  return opening !== null || http1?.busy() === true || http2.some((line) => line.load() > 0);
}

function endWay({ http1, http2 }: Way): void {
  http1?.close();
  for (const one of [...http2]) one.drain();
}

function tlsOptions(host: string, { ca, serverName }: NonNullable<ExitTarget['tls']>, alpn: string[]) {
  const name = serverName ?? host;
  return {
    ALPNProtocols: alpn,
    rejectUnauthorized: true,
    // RFC 6066 section 3: no address is a server name; the certificate is held against it all the same, and not against the host.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
    ...(ca === null ? {} : { ca }),
  };
}

/** `net` asks for one address or for all, and gets no other than those that were looked at. */
function lookupAmong(addresses: readonly Resolved[]) {
  return (
    _host: string,
    options: { readonly all?: boolean | undefined },
    done: (error: null, address: string | { address: string; family: number }[], family?: number) => void,
  ): void => {
    const [first] = addresses as [Resolved];
    if (options.all === true) done(null, [...addresses]);
    else done(null, first.address, first.family);
  };
}

function connectError({ name }: ExitTarget, socket: Socket, error: NodeJS.ErrnoException): BehalfError {
  const rule = 'authorizationError' in socket ? socket.authorizationError : null;
  if (rule === null || rule === undefined)
    return new BehalfError('upstream_unavailable', { to: name, why: error.code ?? error.message }, { cause: error });
  return new BehalfError('exit_untrusted', { exit: name, rule: String(error.code ?? rule) }, { cause: error });
}

async function beforeEnd<T>(late: AbortSignal, { name }: ExitTarget, wait: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onLate = () => reject(new BehalfError('upstream_unavailable', { to: name, why: 'resolving took too long' }));
  late.addEventListener('abort', onLate, { once: true });
  try {
    return await Promise.race([wait, promise]);
  } finally {
    late.removeEventListener('abort', onLate);
  }
}

function leastLoaded(lines: readonly Http2Line[]): Http2Line | null {
  let best: Http2Line | null = null;
  for (const line of lines) if (line.usable() && (best === null || line.load() < best.load())) best = line;
  return best;
}

function ignore(): void {}
