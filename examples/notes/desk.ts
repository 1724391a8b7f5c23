/**
 * The desk: where users' requests come in. It passes them on to the archive, on localhost. All that it does for the mesh is to
 * copy one header, so that the sidecar knows for which request the call is made.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

const { PORT, ARCHIVE_URL } = process.env;

createServer(async (request, response) => {
  const sent = await text(request);
  const answer = await fetch(`${ARCHIVE_URL}${request.url}`, {
    method: request.method ?? 'GET',
    headers: { 'delegation-context': String(request.headers['delegation-context'] ?? '') },
    ...(sent === '' ? {} : { body: sent }),
  });
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
  response.end(await answer.text());
}).listen(Number(PORT), '127.0.0.1');
