/**
 * A service that knows nothing of contexts: works for a moment, calls the next one, and gives its answer back. Run it under
 *
 *     node --import behalf/propagate plain.ts        the hook copies Delegation-Context
 *     node --import ./otel.ts plain.ts               OpenTelemetry passes baggage on
 *
 * `/forget…` makes the same call outside of any request, to see how it is refused.
 */
import { AsyncResource } from 'node:async_hooks';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const { PORT, BACK_URL } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const outsideOfRequests = new AsyncResource('forgets');

createServer(async (incoming, answer) => {
  const body = await buffer(incoming);
  await sleep(Math.random() * 20);
  const url = incoming.url ?? '/';
  const call = () => (body.length % 2 === 0 ? viaHttp(url, body, answer) : viaFetch(url, body, answer));
  await (url.startsWith('/forget') ? outsideOfRequests.runInAsyncScope(call) : call()).catch(() => answer.destroy());
}).listen(Number(PORT), '127.0.0.1');

async function viaFetch(url: string, body: Buffer<ArrayBuffer>, answer: ServerResponse): Promise<void> {
  const response = await fetch(new URL(url, BACK_URL), { method: 'POST', body });
  answer.writeHead(response.status).end(await response.text());
}

async function viaHttp(url: string, body: Buffer, answer: ServerResponse): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(new URL(url, BACK_URL), { method: 'POST', agent }, resolve).on('error', reject).end(body);
  });
  answer.writeHead(response.statusCode ?? 502).end(await buffer(response));
}
