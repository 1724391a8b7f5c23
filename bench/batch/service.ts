/** A service of the benchmark's mesh: hands each request on to the next one, the last answers. Copies `Delegation-Context`. */
import { Agent, createServer, request } from 'node:http';
import { pipeline } from 'node:stream';

const { PORT, NEXT_URL } = process.env;
const agent = new Agent({ keepAlive: true });

createServer((incoming, answer) => {
  if (NEXT_URL === undefined) return void answer.end('done\n');
  const context = String(incoming.headers['delegation-context'] ?? '');
  const onward = request(new URL('/', NEXT_URL), { agent, headers: { 'Delegation-Context': context } });
  onward.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502);
    pipeline(response, answer, () => undefined);
  });
  onward.on('error', () => answer.destroy());
  onward.end();
}).listen(Number(PORT), '127.0.0.1');
