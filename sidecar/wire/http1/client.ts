/**
 * HTTP/1.1 towards the app: a pool of kept connections, requests framed anew (RFC 9112 sections 6 and 7).
 */
import http from 'node:http';
import { fieldOf, type HeaderList, type RequestHead } from '../../call/head.ts';
import type { AppAddress } from '../address.ts';
import { type Answer, type Asked, CANCELLED, type Line, type NoAnswer } from '../exchange.ts';
import { endToEnd, joinCookies, MAX_ANSWER_HEAD_BYTES } from '../fields.ts';
import { askUpgrade } from './upgrade-client.ts';

/** Connections to the app: in use at once, and kept while idle. More calls than that wait for one, within their timeout. */
const MAX_SOCKETS = 1_024;
const MAX_IDLE_SOCKETS = 256;
/** Requests that may be sent again if a kept connection turns out to be closed (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export interface Http1Line extends Line {
  close(): void;
}

export function createHttp1Line(address: AppAddress, connectTimeoutMs: number): Http1Line {
  const agent = new http.Agent({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    maxFreeSockets: MAX_IDLE_SOCKETS,
    scheduling: 'lifo',
  });
  return {
    ask: (head, hasBody) =>
      head.protocol === 'websocket'
        ? askUpgrade(head, address, connectTimeoutMs)
        : ask(head, hasBody, agent, address, connectTimeoutMs),
    close: () => agent.destroy(),
  };
}

/** The same over connections that another makes: the agent gives them out connected. */
export function createHttp1LineOver(agent: http.Agent, { host, port }: { host: string; port: number }): Line {
  return { ask: (head, hasBody) => ask(head, hasBody, agent, { host, port }, 0) };
}

function ask(
  head: RequestHead,
  hasBody: boolean,
  agent: http.Agent,
  address: AppAddress,
  connectTimeoutMs: number,
): Asked {
  const headers = [...joinCookies(head.headers)];
  headers.push('host', head.authority);
  if (hasBody && fieldOf(headers, 'content-length') === null) headers.push('transfer-encoding', 'chunked');
  const request = http.request({
    ...address,
    agent,
    method: head.method,
    path: head.target,
    headers,
    setHost: false,
    insecureHTTPParser: false,
    maxHeaderSize: MAX_ANSWER_HEAD_BYTES,
  });
  request.maxHeadersCount = 0;
  const { promise: answer, resolve } = Promise.withResolvers<Answer | NoAnswer>();
  let connecting: NodeJS.Timeout | null = null;
  request.on('socket', (socket) => {
    if (!socket.connecting) return;
    connecting = setTimeout(() => request.destroy(new Error('connecting took too long')), connectTimeoutMs);
    socket.once('connect', () => clearTimeout(connecting ?? undefined));
  });
  request.on('response', (response) => {
    resolve({
      kind: 'answer',
      head: { status: response.statusCode ?? 0, headers: endToEnd(response.rawHeaders) },
      ends: false,
      body: response,
      bodyIsWhole: () => response.complete,
      bodyTrailers: () => endToEnd(response.rawTrailers),
      tunnel: null,
    });
  });
  // UNTRUSTED: a 101 that nobody asked for would make the rest of the connection the app's own.
  request.on('upgrade', (_response, socket) => {
    socket.destroy();
    resolve({ kind: 'none', why: 'the app switched protocols unasked', unprocessed: false });
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    clearTimeout(connecting ?? undefined);
    const closedWhileIdle = request.reusedSocket && error.code === 'ECONNRESET' && IDEMPOTENT.has(head.method);
    const neverConnected = error.code === 'ECONNREFUSED' || error.code === 'ENOENT';
    resolve({ kind: 'none', why: error.code ?? error.message, unprocessed: closedWhileIdle && !neverConnected });
  });
  request.on('close', () => {
    clearTimeout(connecting ?? undefined);
    resolve({ kind: 'none', why: 'closed without an answer', unprocessed: false });
  });
  if (!hasBody) request.end();
  return {
    body: request,
    finish(trailers: HeaderList) {
      if (trailers.length > 0 && fieldOf(headers, 'transfer-encoding') !== null) {
        const list: [string, string][] = [];
        for (let i = 0; i < trailers.length; i += 2) list.push([trailers[i] as string, trailers[i + 1] as string]);
        request.addTrailers(list);
      }
      request.end();
    },
    answer,
    cancel() {
      // At once: a request that waits for a connection would say so only when it gets one.
      resolve(CANCELLED);
      request.destroy();
    },
    endWith: () => void request.destroy(),
  };
}
