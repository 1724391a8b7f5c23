/** A service that is paid: answers with the details that its sidecar says are left, and with the header fields that it got. */
import { createServer } from 'node:http';

const { PORT, DELEGATION_API } = process.env;

createServer(async (incoming, answer) => {
  const context = String(incoming.headers['delegation-context'] ?? '');
  const own = await fetch(`${DELEGATION_API}/delegation`, { headers: { 'Delegation-Context': context } });
  const { authorization_details: details } = (await own.json()) as { authorization_details: unknown };
  answer.writeHead(200, { 'Content-Type': 'application/json' });
  answer.end(JSON.stringify({ details, fields: Object.keys(incoming.headers) }));
}).listen(Number(PORT), '127.0.0.1');
