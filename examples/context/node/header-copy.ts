/** The same service as `plain.ts` without any hook: it copies `Delegation-Context` by hand, from each request onto its call. */
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const { PORT, BACK_URL } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

createServer(async (incoming, answer) => {
  const body = await buffer(incoming);
  await sleep(Math.random() * 20);
  const context = incoming.headers['delegation-context'];
  const forgets = context === undefined || incoming.url?.startsWith('/forget') === true;
  const headers = forgets ? {} : { 'Delegation-Context': context };
  const onward = request(new URL(incoming.url ?? '/', BACK_URL), { method: 'POST', agent, headers });
  onward.on('response', async (response: IncomingMessage) => {
    answer.writeHead(response.statusCode ?? 502).end(await buffer(response));
  });
  onward.on('error', () => answer.destroy());
  onward.end(body);
}).listen(Number(PORT), '127.0.0.1');
