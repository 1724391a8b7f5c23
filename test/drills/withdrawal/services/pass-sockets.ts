/** How a service without security code passes WebSockets on: one of its own to the next service for each of its client's. */
import type { Server } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

/** A code that a peer did not send, since it said nothing or broke off (RFC 6455 section 7.4.1). */
const NOT_SENT: ReadonlySet<number> = new Set([1005, 1006]);

export function passSockets(server: Server, backUrl: string): void {
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (incoming, socket, early) => {
    const context = String(incoming.headers['delegation-context'] ?? '');
    const url = new URL(incoming.url ?? '/', backUrl.replace(/^http/, 'ws'));
    const onward = new WebSocket(url, { headers: { 'Delegation-Context': context } });
    let opened = false;
    socket.on('error', () => undefined);
    onward.on('error', () => {
      // Not granted: nobody speaks WebSocket on the other one yet.
      if (!opened) socket.destroy();
    });
    onward.on('unexpected-response', (_request, response) => {
      socket.end(`HTTP/1.1 ${response.statusCode ?? 502} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    });
    onward.on('open', () => {
      opened = true;
      sockets.handleUpgrade(incoming, socket, early, (own) => {
        join(own, onward);
        join(onward, own);
      });
    });
  });
}

/** What comes on the one goes out on the other, and so does its end. */
function join(from: WebSocket, to: WebSocket): void {
  from.on('error', () => undefined);
  from.on('message', (data, isBinary) => to.send(data, { binary: isBinary }, () => undefined));
  from.on('close', (code, reason) => {
    if (NOT_SENT.has(code)) to.terminate();
    else to.close(code, reason);
  });
}
