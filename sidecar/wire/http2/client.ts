/**
 * HTTP/2 towards those who answer: a peer's mTLS port or an app that speaks h2c. One session carries many requests; when
 * it says that it is closing, no new one is put on it, and those it did not process are told apart from the rest.
 */
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import type { HeaderList, RequestHead } from '../../call/head.ts';
import { type Answer, type Asked, CANCELLED, DEAD_END, type Line, type NoAnswer } from '../exchange.ts';
import { endToEnd, MAX_ANSWER_HEAD_BYTES } from '../fields.ts';
import { CLOCK_SETTING, clockSetting, hearClock, type PeerClock } from '../peer-clock.ts';
import { LAST_WORDS_WITHIN_MS } from '../websocket/end-socket.ts';
import { SWITCHING_PROTOCOLS, WEBSOCKET } from '../websocket/handshake.ts';
import { askOnceTold } from './extended-connect.ts';
import { neverIndexed } from './never-indexed.ts';
import { CONNECTION_WINDOW, SESSION_MEMORY_MB, STREAM_WINDOW, sendTrailers } from './server.ts';

const END_STREAM = 1;
/** As in `server.ts`; Node's types do not know that clients take it too. */
const FIELDS_TWICE = { strictSingleValueFields: false };

export interface Http2Line extends Line {
  /** Whether a new request may be put on it. */
  usable(): boolean;
  /** Requests under way. */
  load(): number;
  /** No new requests; closes when those under way have ended. */
  drain(): void;
  destroy(): void;
}

/**
 * Speaks HTTP/2 on a connected socket. `onUnusable` is called once, when it takes no more requests; `onClose` once, when
 * the connection has ended. With `clock`, of a peer, both sides tell their time.
 */
export function openHttp2Line(
  socket: Duplex,
  authority: string,
  events: { onUnusable(): void; onClose(): void },
  clock: PeerClock | null = null,
  scheme: 'http' | 'https' = 'http',
): Http2Line {
  const session = http2.connect(`http://${authority}`, {
    createConnection: () => socket,
    maxSessionMemory: SESSION_MEMORY_MB,
    ...FIELDS_TWICE,
    settings: {
      enablePush: false,
      initialWindowSize: STREAM_WINDOW,
      maxHeaderListSize: MAX_ANSWER_HEAD_BYTES,
      ...(clock === null ? {} : { customSettings: clockSetting(Date.now()) }),
    },
    remoteCustomSettings: clock === null ? [] : [CLOCK_SETTING],
  });
  let load = 0;
  let draining = false;
  let told = false;
  session.once('remoteSettings', () => {
    told = true;
  });
  function drain(): void {
    if (draining) return;
    draining = true;
    events.onUnusable();
    closeIfIdle();
  }
  function closeIfIdle(): void {
    if (draining && load === 0 && !session.closed) session.close();
  }
  function onAskedClosed(): void {
    load -= 1;
    closeIfIdle();
  }
  session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW));
  if (clock !== null) session.on('remoteSettings', (settings) => hearClock(clock, settings, Date.now()));
  session.on('goaway', drain);
  session.on('error', drain); // what became of each stream its own events tell
  session.on('close', () => {
    drain();
    events.onClose();
  });
  return {
    ask(head, hasBody) {
      load += 1;
      if (head.protocol === WEBSOCKET)
        return askOnceTold(session, told, () => ask(session, { head, scheme }, true, onAskedClosed), onAskedClosed);
      return ask(session, { head, scheme }, hasBody, onAskedClosed);
    },
    usable: () => !draining && !session.closed && !session.destroyed,
    load: () => load,
    drain,
    destroy: () => session.destroy(),
  };
}

function ask(
  session: http2.ClientHttp2Session,
  { head, scheme }: { readonly head: RequestHead; readonly scheme: string },
  hasBody: boolean,
  onClosed: () => void,
): Asked {
  const isWebSocket = head.protocol === WEBSOCKET;
  const list = neverIndexed([
    ':method',
    isWebSocket ? 'CONNECT' : head.method,
    ...(isWebSocket ? [':protocol', WEBSOCKET] : []),
    ':scheme',
    scheme,
    ':authority',
    head.authority,
    ':path',
    head.target,
    ...head.headers,
  ]);
  let stream: http2.ClientHttp2Stream;
  try {
    stream = session.request(list, { endStream: !hasBody, waitForTrailers: hasBody });
  } catch (thrown) {
    onClosed();
    return refusedBySession(thrown);
  }
  let requestTrailers: HeaderList | null = null;
  let answerTrailers: HeaderList = [];
  let wasPending = true;
  stream.on('ready', () => {
    wasPending = false;
  });
  // INVARIANT: END_STREAM of a body leaves here only, and only after `finish`: a request that is cancelled must not look whole.
  stream.on('wantTrailers', () => {
    if (requestTrailers !== null) sendTrailers(stream, requestTrailers);
  });
  stream.on('trailers', (_trailers, _flags, raw) => {
    answerTrailers = endToEnd(raw as unknown as string[]);
  });
  const { promise: answer, resolve } = Promise.withResolvers<Answer | NoAnswer>();
  stream.on('response', (headers, flags, raw) => {
    const status = Number(headers[':status']);
    const granted = isWebSocket && status === 200;
    resolve({
      kind: 'answer',
      head: { status: granted ? SWITCHING_PROTOCOLS : status, headers: endToEnd(raw as unknown as string[]) },
      ends: (flags & END_STREAM) !== 0,
      body: stream,
      bodyIsWhole: () => stream.rstCode === http2.constants.NGHTTP2_NO_ERROR,
      bodyTrailers: () => answerTrailers,
      tunnel: granted ? stream : null,
    });
  });
  stream.on('error', ignore); // 'close' follows
  stream.on('close', () => {
    onClosed();
    // RFC 9113 section 8.7: a refused stream, one above a GOAWAY's last (nghttp2 closes those as refused), or one that
    // never left this process, was not processed.
    const unprocessed = wasPending || stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM;
    resolve({ kind: 'none', why: `stream closed with ${stream.rstCode}`, unprocessed });
  });
  return {
    body: stream,
    finish(trailers) {
      requestTrailers = trailers;
      stream.end();
    },
    answer,
    cancel() {
      // At once: a peer that reads nothing any more would let the stream's own end wait for ever.
      resolve(CANCELLED);
      stream.close(http2.constants.NGHTTP2_CANCEL);
    },
    endWith(last) {
      if (stream.destroyed || stream.closed) return;
      requestTrailers = [];
      stream.end(last);
      stream.resume();
      const late = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), LAST_WORDS_WITHIN_MS);
      stream.once('close', () => clearTimeout(late));
    },
  };
}

function refusedBySession(thrown: unknown): Asked {
  const why = thrown instanceof Error ? ((thrown as NodeJS.ErrnoException).code ?? thrown.message) : 'refused';
  return {
    body: DEAD_END,
    finish: ignore,
    answer: Promise.resolve({
      kind: 'none',
      why,
      unprocessed: why.startsWith('ERR_HTTP2_GOAWAY') || why === 'ERR_HTTP2_INVALID_SESSION',
    }),
    cancel: ignore,
    endWith: ignore,
  };
}

function ignore(): void {}
