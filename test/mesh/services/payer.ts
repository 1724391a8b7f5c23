/**
 * A service that pays with what it was given: for each element of the client's `x-parts` (a JSON list) it calls `back` once, all at
 * the same time; the element is what it says in `Delegation-Details`, null says nothing. Answers with what became of each call.
 */
import { createServer, request } from 'node:http';
import { text } from 'node:stream/consumers';

const { PORT, BACK_URL } = process.env;

createServer(async (incoming, answer) => {
  const parts = JSON.parse(String(incoming.headers['x-parts'] ?? '[]')) as (string | null)[];
  const context = String(incoming.headers['delegation-context'] ?? '');
  const outcomes = await Promise.all(parts.map((part) => pay(incoming.url ?? '/', context, part)));
  answer.writeHead(200, { 'Content-Type': 'application/json' });
  answer.end(JSON.stringify(outcomes));
}).listen(Number(PORT), '127.0.0.1');

function pay(path: string, context: string, part: string | null): Promise<{ status: number; body: unknown }> {
  const headers = { 'Delegation-Context': context, ...(part === null ? {} : { 'Delegation-Details': part }) };
  return new Promise((resolve, reject) => {
    const onward = request(new URL(path, BACK_URL), { headers });
    onward.on('error', reject);
    onward.on('response', async (response) =>
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(await text(response)) }),
    );
    onward.end();
  });
}
