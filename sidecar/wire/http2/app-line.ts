/** HTTP/2 with prior knowledge towards the own app: one session, opened when it is needed and again when it has ended. */
import type { Socket } from 'node:net';
import type { Line } from '../exchange.ts';
import { type Http2Line, openHttp2Line } from './client.ts';

export function createAppH2Line(connect: () => Socket, connectTimeoutMs: number): Line & { close(): void } {
  let line: Http2Line | null = null;

  function current(): Http2Line {
    if (line?.usable()) return line;
    const socket = connect();
    const late = setTimeout(() => socket.destroy(new Error('connecting took too long')), connectTimeoutMs);
    socket.setNoDelay(true);
    socket.once('connect', () => clearTimeout(late));
    socket.once('close', () => clearTimeout(late));
    line = openHttp2Line(socket, 'app', { onUnusable: () => undefined, onClose: () => undefined });
    return line;
  }

  return {
    ask(head, hasBody) {
      return current().ask(head, hasBody);
    },
    close: () => line?.drain(),
  };
}
