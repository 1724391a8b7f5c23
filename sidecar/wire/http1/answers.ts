/** What the files of HTTP/1.1's server share: whole answers, and which sockets can be reset. */
import type http from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { AnswerHead } from '../../call/head.ts';

/** Node has a reset for plain TCP only. */
export function isPlainTcp(socket: Socket): boolean {
  return !(socket instanceof TLSSocket) && socket.remoteAddress !== undefined;
}

/** An answer with its body, to which its length is added. */
export function sendWhole(response: http.ServerResponse, head: AnswerHead, body: Buffer): void {
  response.writeHead(head.status, [...head.headers, 'content-length', String(body.length)]);
  response.end(body);
}
