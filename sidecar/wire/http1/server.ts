/**
 * HTTP/1.1 (RFC 9112) of those who ask: Node's strict parser makes requests, this file makes `Asker`s of them. What Node
 * would take but is ambiguous is refused here: two `Host` fields, too many fields, a target of a form that we do not serve.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import { BehalfError } from '../../../errors/index.ts';
import { type AnswerHead, fieldOf, type HeaderList, type RequestHead } from '../../call/head.ts';
import type { Asker } from '../exchange.ts';
import { endToEnd, isGrpc, MAX_FIELDS, valuesOf } from '../fields.ts';
import { asksForWebSocket } from '../websocket/handshake.ts';
import { isPlainTcp, sendWhole } from './answers.ts';
import { upgradeAsker } from './upgrade-server.ts';

/** Time for a request's head to arrive whole. */
const HEAD_TIMEOUT_MS = 10_000;
const CHECK_MS = 2_000;
/** Calls of one connection that may be under way at once (pipelining, RFC 9112 section 9.3.2); the answer beyond it is `overloaded`. */
const MAX_PIPELINED = 100;
/** A body that nobody reads any more may go on for this long after its answer. */
const LEFTOVER_BODY_MS = 5_000;
/** Longer than clients keep their connections, so that they close first. */
const KEEP_ALIVE_MS = 75_000;

export interface Http1Server {
  /** Speaks HTTP/1.1 on a socket, of which bytes may already have been read and put back. */
  take(socket: Socket): void;
  /** Ends idle connections now and the others with their current answer. */
  close(): void;
}

export interface Http1ServerOptions {
  readonly maxHeadBytes: number;
  onRequest(asker: Asker, socket: Socket): void;
  /** The head is not one that we take; `answer` sends the refusal and closes. */
  onMalformed(error: BehalfError, socket: Socket, answer: (head: AnswerHead, body: Buffer) => void): void;
}

export function createHttp1Server({ maxHeadBytes, onRequest, onMalformed }: Http1ServerOptions): Http1Server {
  const server = http.createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // checked below, where the refusal can go on record
    maxHeaderSize: maxHeadBytes,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    joinDuplicateHeaders: false,
    connectionsCheckingInterval: CHECK_MS,
    shouldUpgradeCallback: asksForWebSocket,
  });
  // Node begins to watch its connections' time limits when a server listens. This one never does: sockets come from others.
  server.emit('listening');
  // 0: all are kept. A limit here would drop fields in silence; ours refuses.
  server.maxHeadersCount = 0;
  /** Calls under way, a connection: their answers have not left. */
  const underWay = new WeakMap<Socket, Set<http.ServerResponse>>();
  const callsOn = (socket: Socket): Set<http.ServerResponse> => underWay.get(socket) ?? new Set();
  const onMessage = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const calls = callsOn(request.socket);
    const head =
      calls.size >= MAX_PIPELINED ? new BehalfError('overloaded', { limit: MAX_PIPELINED }) : headOf(request);
    if (head instanceof BehalfError) {
      onMalformed(head, request.socket, (answer, body) => {
        response.shouldKeepAlive = false;
        sendWhole(response, answer, body);
      });
    } else {
      onRequest(askerOf(head, request, response, calls), request.socket);
    }
  };
  server.on('request', onMessage);
  // Expectations other than `100-continue` are not ours to meet, and go no further (RFC 9110 section 10.1.1).
  server.on('checkExpectation', onMessage);
  server.on('upgrade', (request, stream, early: Buffer) => {
    const socket = stream as Socket;
    socket.on('error', ignore); // told by 'close'
    const answersUnderWay = callsOn(socket).size > 0;
    const hasBody =
      valuesOf(request.rawHeaders, 'transfer-encoding').length + valuesOf(request.rawHeaders, 'content-length').length >
      0;
    const head = hasBody ? new BehalfError('request_malformed', { why: 'Upgrade with a body' }) : headOf(request);
    if (answersUnderWay) {
      // Bytes of ours would be taken for a part of the answer that is under way.
      onMalformed(new BehalfError('request_malformed', { why: 'Upgrade behind a request' }), socket, () =>
        socket.destroy(),
      );
    } else if (head instanceof BehalfError) {
      onMalformed(head, socket, (answer, body) => sendRaw(socket, answer, body));
    } else {
      onRequest(upgradeAsker({ ...head, protocol: 'websocket' }, request, socket, early), socket);
    }
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const calls = [...callsOn(socket as Socket)];
    const between = calls.length > 1 || calls.some((call) => call.headersSent);
    onMalformed(
      new BehalfError('request_malformed', { why: error.code ?? 'unreadable' }),
      socket as Socket,
      (answer, body) => {
        // Bytes of ours would be taken for a part of the answer that is under way.
        if (between) socket.destroy();
        else sendRaw(socket as Socket, answer, body);
      },
    );
  });
  // Without a listener Node would close the socket unanswered.
  server.on('connect', (_request, socket) =>
    onMalformed(
      new BehalfError('request_malformed', { why: 'CONNECT is not served' }),
      socket as Socket,
      (answer, body) => sendRaw(socket as Socket, answer, body),
    ),
  );
  return {
    take(socket) {
      underWay.set(socket, new Set());
      server.emit('connection', socket);
    },
    close() {
      server.close();
      server.closeIdleConnections();
    },
  };
}

/** UNTRUSTED: everything in it. */
function headOf(request: http.IncomingMessage): RequestHead | BehalfError {
  const raw = request.rawHeaders;
  if (raw.length > MAX_FIELDS * 2)
    return new BehalfError('request_malformed', { why: 'too many header fields', limit: MAX_FIELDS });
  const hosts = valuesOf(raw, 'host');
  if (hosts.length > 1 || (hosts.length === 0 && request.httpVersion !== '1.0')) {
    return new BehalfError('request_malformed', { why: 'Host must occur once' });
  }
  if (!isPlainlyFramed(request)) return new BehalfError('request_malformed', { why: 'Transfer-Encoding' });
  let target = request.url ?? '';
  let authority = hosts[0] ?? '';
  if (!target.startsWith('/') && !(target === '*' && request.method === 'OPTIONS')) {
    const absolute = absoluteForm(target);
    if (absolute === null) return new BehalfError('request_malformed', { why: 'request target' });
    ({ target, authority } = absolute);
  }
  const headers = endToEnd(raw);
  return {
    method: request.method ?? '',
    target,
    authority: authority.toLowerCase(),
    headers,
    protocol: isGrpc(fieldOf(headers, 'content-type')) ? 'grpc' : 'http/1.1',
  };
}

/** `http://host/path`, which every server must take (RFC 9112 section 3.2.2); its authority goes before `Host`. */
function absoluteForm(target: string): { target: string; authority: string } | null {
  const scheme = 'http://';
  if (target.slice(0, scheme.length).toLowerCase() !== scheme) return null;
  let end = scheme.length;
  while (end < target.length && target[end] !== '/' && target[end] !== '?') end += 1;
  const authority = target.slice(scheme.length, end);
  if (authority === '' || authority.includes('@')) return null;
  const rest = target.slice(end);
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

/** Chunked and nothing else, and not in HTTP/1.0, which does not know it (RFC 9112 section 6.1): all else is read differently by others. */
function isPlainlyFramed(request: http.IncomingMessage): boolean {
  const codings = valuesOf(request.rawHeaders, 'transfer-encoding');
  if (codings.length === 0) return true;
  return codings.length === 1 && (codings[0] as string).toLowerCase() === 'chunked' && request.httpVersion === '1.1';
}

function askerOf(
  head: RequestHead,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  calls: Set<http.ServerResponse>,
): Asker {
  calls.add(response);
  response.on('finish', () => calls.delete(response));
  // Told by 'close'; without listeners they would end the process.
  request.on('error', ignore);
  response.on('error', ignore);
  const hasBody = valuesOf(request.rawHeaders, 'transfer-encoding').length > 0 || hasLength(head.headers);
  return {
    head,
    hasBody,
    body: request,
    bodyIsWhole: () => request.complete,
    bodyTrailers: () => endToEnd(request.rawTrailers),
    answer: response,
    sendHead(answer, ends) {
      response.writeHead(answer.status, answer.headers as string[]);
      if (ends) response.end();
      else response.flushHeaders();
    },
    sendWhole: (answer, body) => sendWhole(response, answer, body),
    sendAll(answer, body) {
      const whole = body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body);
      const framed = whole.length === 0 || fieldOf(answer.headers, 'content-length') !== null;
      response.writeHead(
        answer.status,
        framed ? (answer.headers as string[]) : [...answer.headers, 'content-length', String(whole.length)],
      );
      response.end(whole);
    },
    finish(trailers) {
      if (trailers.length > 0 && response.chunkedEncoding) response.addTrailers(pairs(trailers));
      response.end();
    },
    started: () => response.headersSent,
    dropBody() {
      if (request.complete || request.destroyed) return;
      request.resume();
      const late = setTimeout(() => request.socket.destroy(), LEFTOVER_BODY_MS);
      request.once('close', () => clearTimeout(late));
    },
    breakOff() {
      // The last chunk, or the rest of the announced length, never comes. HTTP/1.0 knows neither: its reader gets a reset, or
      // over TLS, where Node has no reset, an end without `close_notify`.
      const { socket } = request;
      if (request.httpVersion === '1.0' && isPlainTcp(socket)) socket.resetAndDestroy();
      else socket.destroy();
    },
    endWith: () => request.socket.destroy(),
    onGone(listener) {
      response.on('close', () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}

function hasLength(headers: HeaderList): boolean {
  const length = fieldOf(headers, 'content-length');
  return length !== null && length !== '0';
}

/** An answer where Node gives no response object, since the request could not be read; the connection ends with it. */
function sendRaw(socket: Socket, head: AnswerHead, body: Buffer): void {
  const lines = [`HTTP/1.1 ${head.status} ${http.STATUS_CODES[head.status] ?? ''}`];
  for (let i = 0; i < head.headers.length; i += 2) lines.push(`${head.headers[i]}: ${head.headers[i + 1]}`);
  lines.push(`content-length: ${body.length}`, 'connection: close', '', '');
  socket.end(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body]));
}

function pairs(headers: HeaderList): [string, string][] {
  const list: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) list.push([headers[i] as string, headers[i + 1] as string]);
  return list;
}

function ignore(): void {}
