/**
 * A service that calls the outside, as a user would have it: `/to/<exit>/<path>` goes to `/<path>` of that exit, with the context of
 * its own request and no security code. `x-send` (a JSON object) are further fields of its call, `x-without-context` leaves the
 * context out, `x-by-host` names the exit on the shared port by a host.
 */
import { createServer, request } from 'node:http';
import { pipeline } from 'node:stream';

const { PORT, EXITS = '{}', SHARED_URL = '' } = process.env;
const exits = JSON.parse(EXITS) as Record<string, string>;

createServer((incoming, answer) => {
  const [, , name = '', ...rest] = (incoming.url ?? '').split('/');
  const { 'x-send': more = '{}', 'x-by-host': host } = incoming.headers;
  const carriers = ['delegation-context', 'baggage', 'traceparent', 'delegation-subject'].flatMap((field) => {
    const value = incoming.headers[field];
    return value === undefined || incoming.headers['x-without-context'] !== undefined ? [] : [[field, value]];
  });
  const headers = { ...Object.fromEntries(carriers), ...JSON.parse(String(more)) };
  if (host !== undefined) headers.host = host;
  const base = host === undefined ? exits[name] : SHARED_URL;
  const onward = request(new URL(`/${rest.join('/')}`, base), { method: incoming.method ?? 'GET', headers });
  onward.on('response', (response) => {
    if (answer.destroyed) return void response.destroy();
    const { location, 'content-type': type = 'text/plain' } = response.headers;
    answer.writeHead(response.statusCode ?? 502, {
      'Content-Type': type,
      'x-got': JSON.stringify(Object.keys(response.headers)),
      ...(location === undefined ? {} : { 'x-location': location }),
    });
    pipeline(response, answer, () => {});
  });
  onward.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(502).end('no answer');
  });
  pipeline(incoming, onward, () => {});
}).listen(Number(PORT), '127.0.0.1');
