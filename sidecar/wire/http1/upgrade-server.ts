/**
 * A request for a WebSocket over HTTP/1.1 as an `Asker`. Bytes that come before the 101 wait unread, up to a limit, and reach the
 * other side as the stream or not at all: never as a second request. Any other answer than 101 ends the connection.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import type { RequestHead } from '../../call/head.ts';
import type { Asker } from '../exchange.ts';
import { endSocketWith } from '../websocket/end-socket.ts';
import { keyOf, SWITCHING_PROTOCOLS, switchingFields } from '../websocket/handshake.ts';
import { isPlainTcp, sendWhole } from './answers.ts';

/** A client that was refused gets this long to read why. */
const REFUSED_FOR_MS = 5_000;

export function upgradeAsker(head: RequestHead, request: http.IncomingMessage, socket: Socket, early: Buffer): Asker {
  // What an HTTP answer needs, which Node gives no upgrade.
  const response = new http.ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.on('error', ignore); // told by 'close'
  response.on('finish', () => {
    response.detachSocket(socket);
    socket.end();
    socket.resume();
    const late = setTimeout(() => socket.destroy(), REFUSED_FOR_MS);
    socket.once('close', () => clearTimeout(late));
  });
  if (early.length > 0) socket.unshift(early);
  let ended = false;
  let switched = false;
  let over = false;
  socket.on('end', () => {
    ended = true;
  });
  const asker: Asker = {
    head,
    hasBody: true,
    body: socket,
    bodyIsWhole: () => ended,
    bodyTrailers: () => [],
    get answer() {
      return switched ? socket : response;
    },
    sendHead(answer, ends) {
      if (answer.status === SWITCHING_PROTOCOLS) {
        switched = true;
        response.detachSocket(socket);
        writeHead(socket, switchingFields(answer.headers, keyOf(head.headers)));
        return;
      }
      response.writeHead(answer.status, answer.headers as string[]);
      if (ends) response.end();
      else response.flushHeaders();
    },
    sendWhole: (answer, body) => sendWhole(response, answer, body),
    sendAll: (answer, body) => sendWhole(response, withoutLength(answer), Buffer.concat(body)),
    finish() {
      over = true;
      if (switched) socket.end();
      else response.end();
    },
    started: () => switched || response.headersSent,
    dropBody() {
      socket.resume();
      if (!switched) return; // it ends with its answer
      const late = setTimeout(() => socket.destroy(), REFUSED_FOR_MS);
      socket.once('close', () => clearTimeout(late));
    },
    breakOff() {
      over = true;
      if (isPlainTcp(socket)) socket.resetAndDestroy();
      else socket.destroy();
    },
    endWith(last) {
      over = true;
      endSocketWith(socket, last);
    },
    onGone(listener) {
      socket.on('close', () => {
        if (!over && !response.writableFinished) listener();
      });
    },
  };
  return asker;
}

function writeHead(socket: Socket, fields: readonly string[]): void {
  const lines = [`HTTP/1.1 ${SWITCHING_PROTOCOLS} ${http.STATUS_CODES[SWITCHING_PROTOCOLS]}`];
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
  lines.push('', '');
  socket.write(Buffer.from(lines.join('\r\n'), 'latin1'));
}

function withoutLength({ status, headers }: { status: number; headers: readonly string[] }): {
  status: number;
  headers: string[];
} {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'content-length') kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return { status, headers: kept };
}

function ignore(): void {}
