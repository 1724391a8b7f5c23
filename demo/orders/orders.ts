/**
 * The shop's order book. Nothing in it is about security, not even a header to copy: it is started with the runtime hook,
 *
 *     PORT=3001 PAYMENTS_ADDRESS=127.0.0.1:9201 node --import ./propagate/register.ts demo/orders/orders.ts
 *
 * which puts the calls that it makes to payments under the request that they are made for. Who the user is, it reads like
 * any other header.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpError, needed, onEnd, serve, text } from '../http/router.ts';
import { connectPayments, httpErrorOf } from '../payments/payments-client.ts';
import { createOrderBook, type Order } from './order-book.ts';

const TRACKING_INTERVAL_MS = 100;
/** A parcel arrives after ten minutes at most. */
const TRACKING_EVENTS = 6_000;
const MAX_ECHO_SLEEP_MS = 40;

const payments = connectPayments(needed('PAYMENTS_ADDRESS'));
const book = createOrderBook();
onEnd(() => payments.close());

function userOf(request: IncomingMessage): string {
  const user = request.headers['delegation-subject'];
  if (typeof user !== 'string') throw new HttpError(401, { error: 'no user' });
  return user;
}

function orderOf(id: string | undefined): Order {
  const order = book.find(id ?? '');
  if (order === undefined) throw new HttpError(404, { error: 'no such order' });
  return order;
}

serve('orders', Number(needed('PORT')), {
  'GET /orders': ({ raw }) => ({ status: 200, body: { orders: book.ofOwner(userOf(raw)) } }),

  'POST /orders': ({ raw, body }) => {
    const amount = body['amount'];
    if (!Number.isSafeInteger(amount) || (amount as number) <= 0)
      throw new HttpError(400, { error: 'amount must be cents' });
    return { status: 201, body: book.place(userOf(raw), text(body, 'item'), amount as number) };
  },

  'POST /orders/{id}/pay': async ({ params }) => {
    const { id, owner, amount } = orderOf(params['id']);
    const { receipt } = await payments.charge({ orderId: id, owner, amount }).catch(httpErrorOf);
    book.markPaid(id);
    return { status: 200, body: { ...orderOf(id), receipt } };
  },

  'POST /orders/{id}/refund': async ({ params }) => {
    const { id, owner, amount } = orderOf(params['id']);
    return { status: 200, body: await payments.refund({ orderId: id, owner, amount }).catch(httpErrorOf) };
  },

  'GET /orders/{id}/tracking': async ({ params }, response) => {
    const { id } = orderOf(params['id']);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    for (let at = 0; at < TRACKING_EVENTS && !response.destroyed; at += 1) {
      response.write(`id: ${at}\nevent: position\ndata: ${JSON.stringify({ order: id, kilometre: at })}\n\n`);
      await sleep(TRACKING_INTERVAL_MS);
    }
    response.end();
    return undefined;
  },

  // Which user does payments see? Asked in the middle of other requests, after a wait of random length.
  'POST /echo-user': async ({ body }) => {
    const sent = text(body, 'user');
    await sleep(Math.random() * MAX_ECHO_SLEEP_MS);
    const { subject } = await payments.echoUser({}).catch(httpErrorOf);
    await sleep(Math.random() * MAX_ECHO_SLEEP_MS);
    return { status: 200, body: { sent, seen: subject } };
  },
});
