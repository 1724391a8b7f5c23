/**
 * The other service: answers with what its sidecar told it of the caller's authority, echoes the body, and can sleep or stream.
 * `?sleep=MS` waits, `/stream` sends a line every 50 ms until someone ends it, a WebSocket does the same and echoes, `/fields` also answers with each header field
 * and trailer as it came.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';

const server = createServer(async (incoming, answer) => {
  const url = new URL(incoming.url ?? '/', 'http://back');
  if (url.pathname === '/stream') {
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const ticker = setInterval(() => answer.write(`data: ${Date.now()}\n\n`), 50);
    answer.on('close', () => clearInterval(ticker));
    return;
  }
  const body = await text(incoming).catch(() => null);
  // Whoever sent it broke off, or was refused by what came after the head.
  if (body === null) return;
  await sleep(Number(url.searchParams.get('sleep') ?? 0));
  answer.writeHead(200, { 'Content-Type': 'application/json' });
  answer.end(
    JSON.stringify({
      body,
      subject: incoming.headers['delegation-subject'] ?? null,
      scopes: incoming.headers['delegation-scopes'] ?? null,
      actors: incoming.headers['delegation-actors'] ?? null,
      headers: Object.keys(incoming.headers),
      ...(url.pathname === '/fields' ? { fields: [...incoming.rawHeaders, ...incoming.rawTrailers] } : {}),
    }),
  );
});
new WebSocketServer({ server }).on('connection', (socket) => {
  const ticker = setInterval(() => socket.send(String(Date.now())), 50);
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => undefined);
  socket.on('close', () => clearInterval(ticker));
});
server.listen(Number(process.env['PORT']), '127.0.0.1');
