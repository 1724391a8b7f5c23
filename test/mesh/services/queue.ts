/**
 * A service that puts work on a queue. `POST /jobs`: the front passes it on to `NEXT_URL`; the worker asks its sidecar to put the work
 * off and answers with what it got. `GET /run?reference=…` (asked by the test, in the place of the queue) takes it up: a call to
 * `NEXT_URL` in the user's name.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

const { PORT, NEXT_URL = '', DELEGATION_API = '', OUTSIDE_URL = '', OTHER_URL = '', ROLE } = process.env;

async function answerOf(incoming: IncomingMessage, url: URL): Promise<Response> {
  const context = { 'Delegation-Context': String(incoming.headers['delegation-context'] ?? '') };
  const reference = { 'Delegation-Deferred': url.searchParams.get('reference') ?? '' };
  switch (url.pathname) {
    case '/jobs': {
      const init = {
        method: 'POST',
        headers: { ...context, 'Content-Type': 'application/json' },
        body: await text(incoming),
      };
      return fetch(ROLE === 'front' ? `${NEXT_URL}/jobs` : `${DELEGATION_API}/delegations/deferred`, init);
    }
    case '/own-jobs':
      return fetch(`${DELEGATION_API}/delegations/deferred`, {
        method: 'POST',
        headers: { ...context, 'Content-Type': 'application/json' },
        body: '{}',
      });
    case '/whose':
      return fetch(`${DELEGATION_API}/delegation`, { headers: context });
    case '/run':
      return fetch(`${NEXT_URL}/notes`, { headers: reference });
    case '/outside':
      return fetch(`${OUTSIDE_URL}/paper`, { headers: reference });
    case '/nowhere':
      return fetch(`${OTHER_URL}/jobs`, { method: 'POST', headers: reference });
    case '/scope':
      return fetch(`${NEXT_URL}/notes`, { headers: { ...reference, 'Delegation-Scope': '"' } });
    case '/fresh':
      return fetch(`${NEXT_URL}/fresh`, { headers: reference });
    case '/stream':
      return fetch(`${NEXT_URL}/stream`, { headers: reference });
    case '/both':
      return fetch(`${NEXT_URL}/notes`, { headers: { ...reference, 'Delegation-Context': 'A'.repeat(22) } });
    case '/list':
      return fetch(`${DELEGATION_API}/delegations/deferred`);
    default:
      return fetch(`${DELEGATION_API}/delegations/deferred${url.pathname}`, { method: 'DELETE' });
  }
}

createServer(async (incoming, answer) => {
  try {
    const got = await answerOf(incoming, new URL(incoming.url ?? '/', 'http://queue'));
    answer.writeHead(got.status, { 'Content-Type': 'application/json' });
    for await (const chunk of got.body ?? []) answer.write(chunk);
    answer.end();
  } catch {
    answer.destroy();
  }
}).listen(Number(PORT), '127.0.0.1');
