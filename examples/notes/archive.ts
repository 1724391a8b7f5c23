/**
 * The archive: keeps notes, each user's apart. Whose request it is stands in a header that its own sidecar sets after it has
 * verified the call; nobody else can set it.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

const notes = new Map<string, string[]>();

createServer(async (request, response) => {
  const user = String(request.headers['delegation-subject']);
  const own = notes.get(user) ?? [];
  if (request.method === 'POST') notes.set(user, [...own, await text(request)]);
  response.writeHead(request.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ user, notes: notes.get(user) ?? [] })}\n`);
}).listen(Number(process.env['PORT']), '127.0.0.1');
