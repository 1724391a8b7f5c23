/**
 * The shop's front: where users' requests come in. A plain program that calls its neighbours on localhost; all that it does
 * for the mesh is to copy one header, by hand, onto the calls that it makes for a request.
 *
 *     PORT=3000 ORDERS_URL=http://127.0.0.1:9101 INVENTORY_URL=http://127.0.0.1:9102 node demo/storefront/storefront.ts
 */
import http, { type IncomingMessage } from 'node:http';
import { HttpError, needed, type Request, serve, text } from '../http/router.ts';

const ORDERS_URL = needed('ORDERS_URL');
const INVENTORY_URL = needed('INVENTORY_URL');

/** The header that says for which request a call is made. */
function contextOf({ raw }: Request): Record<string, string> {
  const context = raw.headers['delegation-context'];
  return typeof context === 'string' ? { 'delegation-context': context } : {};
}

/** Calls a neighbour for the request at hand, and passes its refusals on as they are. */
async function call(
  request: Request,
  method: string,
  url: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(url, {
    method,
    headers: { ...contextOf(request), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const read: unknown = await answer.json().catch(() => ({ error: 'the neighbour answered no JSON' }));
  if (!answer.ok) throw new HttpError(answer.status, read);
  return { status: answer.status, body: read };
}

const order = (id: string | undefined) => `${ORDERS_URL}/orders/${encodeURIComponent(id ?? '')}`;

serve('storefront', Number(needed('PORT')), {
  'GET /orders': (request) => call(request, 'GET', `${ORDERS_URL}/orders`),
  'POST /orders': (request) => call(request, 'POST', `${ORDERS_URL}/orders`, request.body),
  'POST /checkout': (request) => call(request, 'POST', `${order(text(request.body, 'orderId'))}/pay`, {}),
  'POST /refunds': (request) => call(request, 'POST', `${order(text(request.body, 'orderId'))}/refund`, {}),
  'POST /echo-user': (request) => call(request, 'POST', `${ORDERS_URL}/echo-user`, request.body),
  'GET /stock/{sku}': (request) => call(request, 'GET', `${INVENTORY_URL}/stock/${request.params['sku']}`),
  // For the story: what if inventory, which has no business with money, tried to take some?
  'POST /attacks/inventory': (request) => call(request, 'POST', `${INVENTORY_URL}/attacks/charge`, request.body),

  // A stream of events, passed on as it comes; whichever side ends first ends the other.
  'GET /orders/{id}/tracking': (request, response) =>
    new Promise((resolve, reject) => {
      const upstream = http.get(`${order(request.params['id'])}/tracking`, { headers: contextOf(request) });
      upstream.on('error', reject);
      upstream.on('response', (answer: IncomingMessage) => {
        response.writeHead(answer.statusCode ?? 502, {
          'content-type': answer.headers['content-type'] ?? 'text/plain',
        });
        answer.on('error', () => response.destroy()).pipe(response);
      });
      response.on('close', () => {
        resolve(undefined);
        upstream.destroy();
      });
    }),
});
