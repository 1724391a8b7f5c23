/** A WebSocket towards the app over HTTP/1.1: a connection of its own, which after 101 is the stream (RFC 6455 section 4.1). */
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import type { RequestHead } from '../../call/head.ts';
import type { AppAddress } from '../address.ts';
import { type Answer, type Asked, CANCELLED, DEAD_END, type NoAnswer } from '../exchange.ts';
import { endToEnd, joinCookies, MAX_ANSWER_HEAD_BYTES, valuesOf } from '../fields.ts';
import { endSocketWith } from '../websocket/end-socket.ts';
import {
  acceptIn,
  acceptOf,
  keyOf,
  newWebSocketKey,
  SWITCHING_PROTOCOLS,
  upgradeFields,
  WEBSOCKET,
} from '../websocket/handshake.ts';

export function askUpgrade(head: RequestHead, address: AppAddress, connectTimeoutMs: number): Asked {
  // Either end may stop sending first: the other goes on until it is done too.
  const socket = connect({
    ...('socketPath' in address ? { path: address.socketPath } : address),
    allowHalfOpen: true,
    noDelay: true,
  });
  const connecting = setTimeout(() => socket.destroy(new Error('connecting took too long')), connectTimeoutMs);
  socket.once('connect', () => clearTimeout(connecting));
  socket.once('close', () => clearTimeout(connecting));
  return askUpgradeOver(head, socket);
}

/** The same on a connection of its own that another made. */
export function askUpgradeOver(head: RequestHead, socket: Socket): Asked {
  const key = keyOf(head.headers) ?? newWebSocketKey();
  const headers = [...upgradeFields(joinCookies(head.headers), key), 'host', head.authority];
  const request = http.request({
    createConnection: () => socket,
    method: head.method,
    path: head.target,
    headers,
    setHost: false,
    insecureHTTPParser: false,
    maxHeaderSize: MAX_ANSWER_HEAD_BYTES,
  });
  request.maxHeadersCount = 0;
  let ended = false;
  const { promise: answer, resolve } = Promise.withResolvers<Answer | NoAnswer>();
  const nothing = (why: string): void => resolve({ kind: 'none', why, unprocessed: false });
  request.on('upgrade', (response, _socket, early: Buffer) => {
    const fields = endToEnd(response.rawHeaders);
    if (!isWebSocketAnswer(response) || (keyOf(head.headers) === null && acceptIn(fields) !== acceptOf(key))) {
      socket.destroy();
      nothing('the app switched to another protocol than was asked for');
      return;
    }
    socket.on('end', () => {
      ended = true;
    });
    socket.on('error', ignore); // 'close' follows
    if (early.length > 0) socket.unshift(early);
    resolve({
      kind: 'answer',
      head: { status: SWITCHING_PROTOCOLS, headers: fields },
      ends: false,
      body: socket,
      bodyIsWhole: () => ended,
      bodyTrailers: () => [],
      tunnel: socket,
    });
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
  request.on('error', (error: NodeJS.ErrnoException) => nothing(error.code ?? error.message));
  request.on('close', () => nothing('closed without an answer'));
  request.end();
  return {
    body: DEAD_END,
    finish: () => void socket.end(),
    answer,
    cancel() {
      resolve(CANCELLED);
      socket.destroy();
    },
    endWith: (last) => endSocketWith(socket, last),
  };
}

function isWebSocketAnswer({ statusCode, rawHeaders }: http.IncomingMessage): boolean {
  const upgrades = valuesOf(rawHeaders, 'upgrade');
  return (
    statusCode === SWITCHING_PROTOCOLS && upgrades.length === 1 && (upgrades[0] as string).toLowerCase() === WEBSOCKET
  );
}

function ignore(): void {}
