/**
 * A service whose code the attacker has: it hands the next one what it was handed, and what it should keep to itself it gives
 * away. `/leak`, `/pay/leak` and `/open` answer with all header fields that it got, its handle among them; where `STOPS` is set
 * `/stop` answers without a further call;
 * any other path goes on to `NEXT_URL` with the handle, or with what the client wrote in `x-send` (JSON pairs of header fields).
 */
import { createServer, type IncomingMessage, request } from 'node:http';
import { pipeline } from 'node:stream';

const { PORT, NEXT_URL, STOPS } = process.env;

createServer((incoming, answer) => {
  if (
    incoming.url?.endsWith('/leak') === true ||
    incoming.url === '/open' ||
    (incoming.url === '/stop' && STOPS !== undefined)
  ) {
    incoming.resume();
    answer.writeHead(200, { 'Content-Type': 'application/json' });
    answer.end(JSON.stringify({ fields: [...incoming.rawHeaders] }));
    return;
  }
  const onward = request(new URL(incoming.url ?? '/', NEXT_URL), {
    method: incoming.method ?? 'GET',
    headers: fieldsOf(incoming),
  });
  onward.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502, {
      'Content-Type': String(response.headers['content-type'] ?? 'text/plain'),
    });
    pipeline(response, answer, () => {});
  });
  onward.on('error', () => answer.writeHead(502).end());
  pipeline(incoming, onward, () => {});
}).listen(Number(PORT), '127.0.0.1');

function fieldsOf({ headers }: IncomingMessage): string[] {
  const written = headers['x-send'];
  const context = ['Delegation-Context', String(headers['delegation-context'] ?? '')];
  return ['Host', 'next', ...context, ...(typeof written === 'string' ? (JSON.parse(written) as string[]) : [])];
}
