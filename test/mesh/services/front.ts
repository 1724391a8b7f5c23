/**
 * A service as a user would have it: no security code. It copies `Delegation-Context` onto its own call and streams the answer
 * of `back` to its client. In `x-request` of its answer stands the id under which its sidecar put the request on record, so that
 * a client's own ledger can be held against the log. For `/fields` it also says in `x-front-fields` each header field and trailer
 * that it got itself, as they came (base64url of a JSON list). A client's `x-ask-scope` becomes `Delegation-Scope` of its own call.
 */
import { createServer, type IncomingMessage, request } from 'node:http';
import { pipeline } from 'node:stream';

const { PORT, BACK_URL, DELEGATION_API } = process.env;

createServer(async (incoming, answer) => {
  const context = String(incoming.headers['delegation-context'] ?? '');
  let facts: { request?: string } = {};
  try {
    const own = await fetch(`${DELEGATION_API}/delegation`, { headers: { 'Delegation-Context': context } });
    facts = (await own.json()) as typeof facts;
  } catch {
    // Without its sidecar it has no id to give; the request itself will say what is wrong.
  }
  const onward = request(new URL(incoming.url ?? '/', BACK_URL), {
    method: incoming.method ?? 'GET',
    headers: {
      'Delegation-Context': context,
      'Content-Type': 'text/plain',
      ...(incoming.headers['x-ask-scope'] === undefined ? {} : { 'Delegation-Scope': incoming.headers['x-ask-scope'] }),
    },
  });
  onward.on('response', (response) => {
    // Whoever asked may be gone by now: their call was ended.
    if (answer.destroyed) return void response.destroy();
    answer.writeHead(response.statusCode ?? 502, {
      'x-request': facts.request ?? '',
      'x-code': String(response.headers['content-type'] === 'application/problem+json' ? 'problem' : ''),
      'Content-Type': String(response.headers['content-type'] ?? 'text/plain'),
      ...(incoming.url === '/fields' ? { 'x-front-fields': fieldsOf(incoming) } : {}),
    });
    pipeline(response, answer, () => {});
  });
  onward.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else answer.writeHead(502).end('no answer from back');
  });
  pipeline(incoming, onward, () => {});
}).listen(Number(PORT), '127.0.0.1');

/** Trailers are known by then: `back` has answered, so that the body went there to its end. */
function fieldsOf({ rawHeaders, rawTrailers }: IncomingMessage): string {
  return Buffer.from(JSON.stringify([...rawHeaders, ...rawTrailers])).toString('base64url');
}
