/**
 * A service in between, without security code: passes a request on to `back`, or, for `/chat` where it knows `rpc`, opens a gRPC
 * stream there and hands what comes to its own client; WebSockets it passes on message by message. `/here` it answers itself. All that
 * it does for the mesh is to copy one header.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import * as grpc from '@grpc/grpc-js';
import { passSockets } from './pass-sockets.ts';
import { CHAT } from './rpc.ts';

const { PORT, BACK_URL, RPC_ADDRESS } = process.env;
const rpc = RPC_ADDRESS === undefined ? null : new grpc.Client(RPC_ADDRESS, grpc.credentials.createInsecure());

const server = createServer((incoming, answer) => {
  const context = String(incoming.headers['delegation-context'] ?? '');
  if (incoming.url === '/here') answer.end('here');
  else if (incoming.url === '/chat' && rpc !== null) chat(rpc, context, answer);
  else passOn(context, incoming, answer);
});
passSockets(server, BACK_URL ?? '');
server.listen(Number(PORT), '127.0.0.1');

function chat(client: grpc.Client, context: string, answer: ServerResponse): void {
  const metadata = new grpc.Metadata();
  metadata.set('delegation-context', context);
  const stream = client.makeBidiStreamRequest(CHAT.path, CHAT.requestSerialize, CHAT.responseDeserialize, metadata);
  answer.writeHead(200, { 'Content-Type': 'text/plain' });
  answer.flushHeaders();
  stream.write(Buffer.from('hello\n'));
  stream.on('data', (chunk: Buffer) => answer.write(chunk));
  // Never a clean end for what did not end cleanly.
  stream.on('error', () => answer.destroy());
  stream.on('end', () => answer.end());
  answer.on('close', () => stream.cancel());
}

function passOn(context: string, incoming: IncomingMessage, answer: ServerResponse): void {
  const onward = request(new URL(incoming.url ?? '/', BACK_URL), {
    method: incoming.method ?? 'GET',
    headers: { 'Delegation-Context': context },
  });
  onward.on('response', (response) => {
    // Whoever asked may be gone by now: their call was ended.
    if (answer.destroyed) return void response.destroy();
    answer.writeHead(response.statusCode ?? 502, { 'Content-Type': String(response.headers['content-type'] ?? '') });
    pipeline(response, answer, () => {});
  });
  onward.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(502).end('no answer from back');
  });
  pipeline(incoming, onward, () => {});
}
