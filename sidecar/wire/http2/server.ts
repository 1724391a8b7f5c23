/**
 * HTTP/2 (RFC 9113) of those who ask, on the app's side (prior knowledge) and between sidecars: Node's sessions make
 * streams, this file makes `Asker`s of them.
 */
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { BehalfError } from '../../../errors/index.ts';
import { fieldOf, type HeaderList, type RequestHead } from '../../call/head.ts';
import type { Asker } from '../exchange.ts';
import { endToEnd, isGrpc, MAX_FIELDS, valuesOf } from '../fields.ts';
import { CLOCK_SETTING, clockSetting, hearClock, type PeerClock } from '../peer-clock.ts';
import { LAST_WORDS_WITHIN_MS } from '../websocket/end-socket.ts';
import { SWITCHING_PROTOCOLS, WEBSOCKET } from '../websocket/handshake.ts';
import { neverIndexed } from './never-indexed.ts';

/** Streams at once on one connection; the client waits with more. */
const MAX_STREAMS = 1_000;
/** Windows: 1 MiB a stream, 8 MiB a connection, so that one slow reader does not stop the others. */
export const STREAM_WINDOW = 1_048_576;
export const CONNECTION_WINDOW = 8_388_608;
/** Streams that the other end may cancel: at once, and a second after that; beyond it the connection ends (CVE-2023-44487). */
export interface ResetLimit {
  readonly burst: number;
  readonly perS: number;
}
/** A sidecar or an app carries the calls of many, and cancels whenever one of its own clients goes away. */
const RESETS_OF_MANY: ResetLimit = { burst: 10_000, perS: 1_000 };
export const RESETS_OF_ONE_CLIENT: ResetLimit = { burst: 1_000, perS: 33 };
/** A broken-off gRPC answer whose trailers cannot be written in this time is reset instead. */
const TRAILERS_WITHIN_MS = 300;
/** Streams that were under way when the first GOAWAY left get this long to arrive (RFC 9113 section 6.8). */
const GOAWAY_GRACE_MS = 200;
/** A body that nobody reads any more may go on for this long after its answer. */
const LEFTOVER_BODY_MS = 5_000;
/** Longest method; those that are registered have 17 characters at most. */
const MAX_METHOD_LENGTH = 32;
const LAST_POSSIBLE_STREAM = 2 ** 31 - 1;

export interface Http2ServerOptions {
  readonly maxHeadBytes: number;
  /** Absent: what one needs that carries the calls of many. */
  readonly resets?: ResetLimit;
  /** A connection on which nothing moves takes no new streams after this long, and ends with its last; absent: never. */
  readonly idleMs?: number;
  /** Of a peer: it is told our time, and measured by its own. Null or absent: an app. */
  readonly clock?: PeerClock | null;
  onRequest(asker: Asker): void;
  /** The head is not one that we take; the stream is answered by `onRequest`'s side through the asker. */
  onMalformed(error: BehalfError, asker: Asker): void;
  onClose(): void;
}

export interface Http2Connection {
  /** Takes no new streams; closes when those under way have ended. */
  drain(): void;
  destroy(): void;
}

/** Speaks HTTP/2 on a socket, of which bytes may already have been read and put back. */
export function takeHttp2(
  socket: Duplex,
  { maxHeadBytes, resets = RESETS_OF_MANY, idleMs, clock = null, onRequest, onMalformed, onClose }: Http2ServerOptions,
): Http2Connection {
  const session = http2.performServerHandshake(socket, {
    settings: {
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListSize: maxHeadBytes,
      initialWindowSize: STREAM_WINDOW,
      enableConnectProtocol: true, // RFC 8441, for WebSockets
      ...(clock === null ? {} : { customSettings: clockSetting(Date.now()) }),
    },
    remoteCustomSettings: clock === null ? [] : [CLOCK_SETTING],
    maxHeaderListPairs: MAX_FIELDS + MESH_FIELDS + PSEUDO_FIELDS,
    maxSessionMemory: SESSION_MEMORY_MB,
    streamResetBurst: resets.burst,
    streamResetRate: resets.perS,
    // A field that occurs twice is passed on as it came: Node would throw at it while an answer is on its way.
    strictSingleValueFields: false,
  });
  session.setLocalWindowSize(CONNECTION_WINDOW);
  if (clock !== null) session.on('remoteSettings', (settings) => hearClock(clock, settings, Date.now()));
  session.on('stream', (stream, _headers, _flags, raw) => {
    stream.on('error', ignore); // told by 'close' and `rstCode`
    const list = raw as unknown as string[];
    const head = headOf(list, stream.endAfterHeaders);
    if (head instanceof BehalfError) onMalformed(head, askerOf(EMPTY_HEAD, stream));
    else onRequest(askerOf(head, stream));
  });
  session.on('error', ignore); // told by 'close'
  if (idleMs !== undefined) {
    session.setTimeout(idleMs, () => {
      if (!session.closed && !session.destroyed) session.close();
    });
  }
  session.on('close', onClose);
  return {
    drain() {
      if (session.closed || session.destroyed) return;
      session.goaway(http2.constants.NGHTTP2_NO_ERROR, LAST_POSSIBLE_STREAM);
      setTimeout(() => {
        if (!session.closed && !session.destroyed) session.close();
      }, GOAWAY_GRACE_MS);
    },
    destroy: () => session.destroy(),
  };
}

const PSEUDO_FIELDS = 5;
/** What sidecars add to an app's fields. */
const MESH_FIELDS = 8;
/** Most memory that one connection's heads may hold; further streams are refused unprocessed. */
export const SESSION_MEMORY_MB = 64;
const EMPTY_HEAD: RequestHead = { method: '', target: '', authority: '', headers: [], protocol: 'h2' };

function ignore(): void {}

/** UNTRUSTED: everything in it. nghttp2 has checked the pseudo-header fields and the characters (RFC 9113 section 8.2). */
function headOf(raw: readonly string[], ends: boolean): RequestHead | BehalfError {
  let method = '';
  let target = '';
  let authority = '';
  let hasAuthority = false;
  let connects: string | null = null;
  for (let i = 0; i < raw.length && (raw[i] as string).startsWith(':'); i += 2) {
    const value = raw[i + 1] as string;
    if (raw[i] === ':method') method = value;
    else if (raw[i] === ':path') target = value;
    else if (raw[i] === ':protocol') connects = value;
    else if (raw[i] === ':authority') {
      authority = value;
      hasAuthority = true;
    }
  }
  if (method.length > MAX_METHOD_LENGTH) return new BehalfError('request_malformed', { why: 'method' });
  const hosts = valuesOf(raw, 'host');
  if (hosts.length > 1 || (hasAuthority && hosts.length === 1 && hosts[0] !== authority)) {
    return new BehalfError('request_malformed', { why: 'Host and :authority differ' });
  }
  if (!target.startsWith('/') && !(target === '*' && method === 'OPTIONS')) {
    return new BehalfError('request_malformed', { why: 'request target' });
  }
  const headers = endToEnd(raw);
  if (connects !== null || method === 'CONNECT') {
    // Extended CONNECT is a GET that asks for a stream (RFC 8441 section 5); no other protocol is served this way.
    if (
      connects?.toLowerCase() !== WEBSOCKET ||
      method !== 'CONNECT' ||
      ends ||
      fieldOf(headers, 'content-length') !== null
    )
      return new BehalfError('request_malformed', { why: 'CONNECT' });
    return { method: 'GET', target, authority: (hosts[0] ?? authority).toLowerCase(), headers, protocol: WEBSOCKET };
  }
  const protocol = isGrpc(fieldOf(headers, 'content-type')) ? 'grpc' : 'h2';
  return { method, target, authority: (hosts[0] ?? authority).toLowerCase(), headers, protocol };
}

function askerOf(head: RequestHead, stream: http2.ServerHttp2Stream): Asker {
  let requestTrailers: readonly string[] = [];
  let answerTrailers: readonly string[] | null = null;
  stream.on('trailers', (_trailers, _flags, raw) => {
    requestTrailers = endToEnd(raw as unknown as string[]);
  });
  // INVARIANT: END_STREAM leaves here only, and only after `finish` or with the trailers of `breakOff`. Node ends the writable
  // side of a stream before it resets it, which without this would send END_STREAM first: a clean end of a torn body.
  stream.on('wantTrailers', () => {
    if (answerTrailers !== null) sendTrailers(stream, answerTrailers);
  });
  return {
    head,
    hasBody: !stream.endAfterHeaders,
    body: stream,
    bodyIsWhole: () => stream.rstCode === http2.constants.NGHTTP2_NO_ERROR,
    bodyTrailers: () => requestTrailers,
    answer: stream,
    sendHead(answer, ends) {
      if (!canAnswer(stream)) return;
      const how = { endStream: ends, waitForTrailers: !ends, sendDate: false };
      stream.respond(headList(answer.status, answer.headers), how);
    },
    sendWhole(answer, body) {
      if (!canAnswer(stream)) return;
      const list = headList(answer.status, answer.headers);
      if (body.length > 0) list.push('content-length', String(body.length));
      const how = { endStream: body.length === 0, sendDate: false };
      stream.respond(list, how);
      if (body.length > 0) stream.end(body);
    },
    sendAll(answer, body) {
      if (!canAnswer(stream)) return;
      const how = { endStream: body.length === 0, sendDate: false };
      stream.respond(headList(answer.status, answer.headers), how);
      if (body.length > 0) stream.end(body.length === 1 ? body[0] : Buffer.concat(body));
    },
    finish(trailers) {
      answerTrailers = trailers;
      stream.end();
    },
    started: () => stream.headersSent,
    dropBody() {
      if (stream.destroyed || stream.readableEnded) return;
      stream.resume();
      const late = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), LEFTOVER_BODY_MS);
      stream.once('close', () => clearTimeout(late));
    },
    breakOff(trailers) {
      if (stream.destroyed || stream.closed) return;
      if (trailers === null || !stream.headersSent) {
        stream.close(http2.constants.NGHTTP2_CANCEL);
        return;
      }
      answerTrailers = trailers;
      stream.end();
      const late = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), TRAILERS_WITHIN_MS);
      stream.once('close', () => clearTimeout(late));
    },
    endWith(last) {
      if (stream.destroyed || stream.closed) return;
      answerTrailers = [];
      stream.end(last);
      stream.resume();
      const late = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), LAST_WORDS_WITHIN_MS);
      stream.once('close', () => clearTimeout(late));
    },
    onGone(listener) {
      stream.on('close', () => {
        if (!stream.writableFinished || stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) listener();
      });
    },
  };
}

/** Node throws where a stream can take no head any more, also when it was reset but is not destroyed yet. */
function canAnswer(stream: http2.ServerHttp2Stream): boolean {
  return !stream.destroyed && !stream.closed && !stream.headersSent;
}

/** INVARIANT: never throws, as it runs inside Node's events, where nobody would catch it. */
export function sendTrailers(stream: http2.Http2Stream, trailers: HeaderList): void {
  if (stream.destroyed || stream.closed) return;
  try {
    stream.sendTrailers(objectOf(trailers));
  } catch {
    // UNTRUSTED: fields that HTTP/2 cannot say. Without them the body must not look whole.
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/** What grants a WebSocket is 101 inside and 200 on an extended CONNECT (RFC 8441 section 5). */
function headList(status: number, headers: readonly string[]): string[] {
  return neverIndexed([':status', status === SWITCHING_PROTOCOLS ? '200' : String(status), ...headers]);
}

/** Trailers, which Node takes as an object only; a name that occurs more than once becomes a list. */
function objectOf(headers: readonly string[]): http2.OutgoingHttpHeaders {
  const object: http2.OutgoingHttpHeaders = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const before = object[name];
    const value = headers[i + 1] as string;
    object[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [String(before)]), value];
  }
  return object;
}
