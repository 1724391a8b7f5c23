/** The shop by itself: its services as processes on localhost, with a stand-in for what the sidecars add. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEMO_SERVICES, type DemoPorts } from './index.ts';

const children: ChildProcess[] = [];
const streams = new Set<unknown>();
const asked: { context: string | undefined; body: unknown }[] = [];
let api: http.Server;
let proxy: http.Server;
let storefront = '';

/** Starts a service on a free port; peers are the services themselves. */
async function start(name: string, ports: Omit<DemoPorts, 'listen'>): Promise<string> {
  const service = DEMO_SERVICES.find((one) => one.name === name);
  if (service === undefined) throw new Error(`no ${name}`);
  const { command, args, environment } = service.program({ ...ports, listen: '127.0.0.1:0' });
  const sidecarPorts = [ports.localApi, ...Object.values(ports.peers)].join(',');
  const env = { ...environment, BEHALF_PORTS: sidecarPorts };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const { ready, port } = JSON.parse(line);
    if (ready === true) return `http://127.0.0.1:${port}`;
  }
  throw new Error(`${name} ended before it was ready`);
}

beforeAll(async () => {
  api = http.createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text);
    if (request.headers['delegation-context'] === 'carol') response.statusCode = 503;
    asked.push({ context: request.headers['delegation-context'] as string | undefined, body });
    response.end(
      JSON.stringify({ decision: body.resource.properties.owner === `u:${request.headers['delegation-context']}` }),
    );
  });
  await once(api.listen(0, '127.0.0.1'), 'listening');
  const localApi = `127.0.0.1:${(api.address() as AddressInfo).port}`;
  const payments = await start('payments', { localApi, peers: {} });
  const [orders, inventory] = await Promise.all([
    start('orders', { localApi, peers: { payments } }),
    start('inventory', { localApi, peers: { payments } }),
  ]);
  storefront = await start('storefront', { localApi, peers: { orders: await namingUsers(orders), inventory } });
});

/** Stands where orders' sidecar would: says who the user is. A context here is the user's name. */
async function namingUsers(upstream: string): Promise<string> {
  proxy = http.createServer((request, response) => {
    const subject = { 'delegation-subject': `u:${request.headers['delegation-context']}` };
    const onward = http.request(`${upstream}${request.url}`, {
      method: request.method,
      headers: { ...request.headers, ...subject },
    });
    onward.on('response', (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers)));
    onward.on('error', () => response.destroy());
    if (request.url?.endsWith('/tracking')) streams.add(request);
    response.on('close', () => {
      streams.delete(request);
      onward.destroy();
    });
    request.pipe(onward);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

afterAll(async () => {
  const ended = children.map((child) => once(child, 'exit'));
  for (const child of children) child.kill('SIGTERM');
  for (const [code] of await Promise.all(ended)) expect(code).toBe(0);
  for (const server of [api, proxy]) {
    server?.closeAllConnections();
    server?.close();
  }
});

async function ask(
  user: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(`${storefront}${path}`, {
    method,
    headers: { 'delegation-context': user, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

test('users place orders, see their own alone, and pay for them', async () => {
  const placed = await ask('alice', 'POST', '/orders', { item: 'lamp', amount: 1250 });
  expect(placed).toMatchObject({ status: 201, body: { owner: 'u:alice', item: 'lamp', state: 'placed' } });
  await ask('bob', 'POST', '/orders', { item: 'chair', amount: 9900 });
  expect(await ask('alice', 'GET', '/orders')).toMatchObject({ status: 200, body: { orders: [placed.body] } });
  const orderId = placed.body['id'];
  expect(await ask('alice', 'POST', '/checkout', { orderId })).toMatchObject({ status: 200, body: { state: 'paid' } });
  expect(asked.at(-1)?.context).toBe('alice');
});

test('an order of someone else is not paid: payments is told no', async () => {
  const { body } = await ask('alice', 'POST', '/orders', { item: 'lamp', amount: 1250 });
  expect(await ask('bob', 'POST', '/checkout', { orderId: body['id'] })).toMatchObject({
    status: 403,
    body: { error: 'this user may not charge this order' },
  });
  expect(asked.at(-1)).toMatchObject({ context: 'bob', body: { resource: { properties: { owner: 'u:alice' } } } });
});

test('where the sidecar cannot tell, no money moves, and the answer is not a no', async () => {
  const { body } = await ask('carol', 'POST', '/orders', { item: 'lamp', amount: 1250 });
  expect(await ask('carol', 'POST', '/checkout', { orderId: body['id'] })).toMatchObject({ status: 503 });
});

test('a parcel’s stream comes as it goes, and ends on both sides when its reader leaves', async () => {
  const { body } = await ask('alice', 'POST', '/orders', { item: 'lamp', amount: 1250 });
  const request = http.get(`${storefront}/orders/${body['id']}/tracking`, {
    headers: { 'delegation-context': 'alice' },
  });
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  expect(answer.headers['content-type']).toBe('text/event-stream');
  let events = 0;
  for await (const chunk of answer.setEncoding('utf8')) {
    events += chunk.split('event: position').length - 1;
    if (events >= 3) break;
  }
  expect(streams.size).toBe(1);
  request.destroy();
  await expect.poll(() => streams.size).toBe(0);
});

test('inventory asks payments for its terms and says what is there', async () => {
  expect(await ask('alice', 'GET', '/stock/lamp')).toEqual({
    status: 200,
    body: { sku: 'lamp', inStock: 12, currencies: ['EUR'] },
  });
});

test('unknown routes, unknown orders and bodies that are no objects are the shop’s own refusals', async () => {
  expect(await ask('alice', 'GET', '/nothing')).toMatchObject({ status: 404 });
  expect(await ask('alice', 'POST', '/checkout', { orderId: 'o-none' })).toMatchObject({ status: 404 });
  expect(await ask('alice', 'POST', '/checkout', [])).toMatchObject({ status: 400 });
  expect(await ask('alice', 'POST', '/checkout', { orderId: '' })).toMatchObject({ status: 400 });
});

test('the charge that inventory tries reaches payments’ question with the context of the request', async () => {
  expect(await ask('alice', 'POST', '/attacks/inventory', { orderId: 'o-1' })).toMatchObject({
    status: 403,
    body: { grpcStatus: 7 },
  });
  expect(asked.at(-1)).toEqual({
    context: 'alice',
    body: {
      action: { name: 'charge' },
      resource: { type: 'Order', id: 'o-1', properties: { owner: 'undefined', amount: 1 } },
    },
  });
});
