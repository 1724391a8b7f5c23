/** User calls and own calls through real sidecars: context, narrowing, facts, refusals, and what is on record of them. */
import type http from 'node:http';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Hop } from '../proto/behalf/audit/v1/audit.ts';
import { ask, type Echo, echo, type Reply, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const USER = 'u:AAAAAAAAAAAAAAAAAAAAAA';

let mesh: TestMesh;
const apps: TestApp[] = [];
let payments: TestSidecar;
let orders: TestSidecar;
let storefront: TestSidecar;
let inventory: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  mesh.tokens.set('user-token', { sub: USER, scope: 'orders:read orders:write payments:charge' });
  mesh.tokens.set('reader-token', { sub: USER, scope: 'orders:read' });
  mesh.tokens.set('expired-token', { sub: USER, scope: '', refuse: 'entry_token_expired' });
  const port = { listen: '127.0.0.1:0' };
  const app = async (handler?: Parameters<typeof startHttp1App>[0]) => {
    const started = await startHttp1App(handler);
    apps.push(started);
    return { address: started.address, protocol: 'http1' as const };
  };
  payments = await mesh.sidecar('payments', { mesh: port, app: await app() });
  const toPayments = { name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] };
  // Calls payments for whatever path it is asked for, with the context of the request.
  const middle = await app((request, response) => callOn(orders, 'payments', request, response));
  orders = await mesh.sidecar('orders', { mesh: port, entry: port, shared: port, app: middle, peers: [toPayments] });
  const toOrders = { name: 'orders', id: mesh.id('orders'), ...port, endpoints: [orders.ready.mesh as string] };
  storefront = await mesh.sidecar('storefront', {
    entry: { ...port, forward: 'orders' },
    app: await app(),
    peers: [toOrders],
  });
  inventory = await mesh.sidecar('inventory', { mesh: port, peers: [toPayments], app: await app() });
  await eventually(async () => expect((await entry('/orders/1')).status).toBe(200));
  // The first whole request is on record before the first test counts.
  await eventually(() =>
    expect(mesh.hops().some((hop, _i, all) => all.filter((o) => o.requestId.equals(hop.requestId)).length === 5)).toBe(
      true,
    ),
  );
});

afterAll(async () => {
  await mesh.close();
  for (const app of apps) await app.close();
});

/** An app in the middle: passes on as the path says, with the context that it got and nothing else. */
function callOn(
  sidecar: TestSidecar,
  peer: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  if (request.url === '/any/echo') {
    echo(request, response);
    return;
  }
  const context = request.headers['delegation-context'] as string;
  const carrier = request.url?.startsWith('/any/baggage')
    ? { baggage: request.headers['baggage'] as string }
    : { 'delegation-context': context };
  ask(sidecar.ready.peers[peer] as string, {
    method: 'POST',
    path: '/charges',
    headers: { ...carrier, 'x-app': '1' },
  }).then(
    (reply) => {
      response.writeHead(reply.status, { 'content-type': 'application/json' });
      response.end(reply.body);
    },
    (error) => {
      response.writeHead(500);
      response.end(String(error));
    },
  );
}

function entry(
  path: string,
  headers: Record<string, string> = { authorization: 'Bearer user-token' },
  at = storefront,
): Promise<Reply> {
  return ask(at.ready.entry as string, { path, headers });
}

/** All `count` hops of the newest request that has one like that. */
async function requestWith(like: (hop: Hop) => boolean, count: number): Promise<Hop[]> {
  let found: Hop[] = [];
  await eventually(() => {
    const newest = mesh.hops().findLast(like);
    found = mesh.hops().filter((hop) => newest !== undefined && hop.requestId.equals(newest.requestId));
    expect(found.length).toBe(count);
  });
  return found;
}

test('a user’s request crosses three services; each sees the user, and what is left of the scope', async () => {
  const before = mesh.hops().length;
  const reply = await entry('/orders/7?secret=1');
  expect(reply.status).toBe(200);
  const seen = JSON.parse(reply.body) as Echo;
  expect(seen.headers).toMatchObject({
    'delegation-subject': USER,
    'delegation-scopes': 'payments:charge',
    'delegation-client': 'shop-app',
    'delegation-actors': `${mesh.id('storefront')}, ${mesh.id('orders')}`,
    'x-app': '1',
  });
  expect(seen.headers['authorization']).toBeUndefined();
  expect(
    Object.keys(seen.headers).filter((name) => /^(txn-token|delegation-(chain|credentials|hop|slot))$/.test(name)),
  ).toEqual([]);
  await eventually(() => expect(mesh.hops().length).toBe(before + 5));
  const hops = mesh.hops().slice(before);
  expect(new Set(hops.map((hop) => hop.requestId.toString('hex'))).size).toBe(1);
  const root = hops.find((hop) => hop.side === 'SIDE_ENTRY');
  const first = hops.filter((hop) => hop.callee === mesh.id('orders') && hop.side !== 'SIDE_ENTRY');
  const second = hops.filter((hop) => hop.callee === mesh.id('payments'));
  expect(first.length).toBe(2);
  expect(first.every((hop) => hop.parentHopId.equals(root?.hopId as Buffer))).toBe(true);
  expect(
    second.every(
      (hop) => hop.parentHopId.equals(first[0]?.hopId as Buffer) && hop.chainId.equals(second[0]?.chainId as Buffer),
    ),
  ).toBe(true);
  expect(second.map((hop) => hop.depth)).toEqual([2, 2]);
  expect(second[0]?.actors).toEqual(second[1]?.actors);
  const callee = second.find((hop) => hop.side === 'SIDE_CALLEE');
  expect(callee).toMatchObject({
    route: 'POST /charges',
    scope: 'payments:charge',
    policies: ['calls'],
    snapshotNumber: 1,
  });
  expect(callee?.personal).toMatchObject({ subject: USER, clientId: 'shop-app' });
  expect(JSON.stringify(hops)).not.toContain('secret');
});

test('baggage finds the same context, and mesh headers from outside never reach the app', async () => {
  const forged = {
    authorization: 'Bearer user-token',
    'delegation-subject': 'u:forged',
    Delegation_Scopes: 'all',
    'txn-token': 'x',
    baggage: 'dlg=forged,a=1',
    'x-http-method-override': 'FORGED',
    'x-original-url': '/forged',
  };
  const viaBaggage = await entry('/any/baggage', forged, orders);
  expect(viaBaggage.status, viaBaggage.body).toBe(200);
  const direct = await entry('/any/echo', forged, orders);
  const seen = JSON.parse(direct.body) as Echo;
  expect(seen.headers['delegation-subject']).toBe(USER);
  expect(JSON.stringify(seen.rawHeaders)).not.toMatch(/forged/i);
  expect(JSON.stringify(seen.rawHeaders).toLowerCase()).not.toContain('delegation_scopes');
  expect(seen.headers['baggage']).toMatch(/^dlg=[\w-]{22},a=1$/);
});

test('an entry without a token, with a wrong one and with two says so and how to ask', async () => {
  const missing = await entry('/orders/1', {});
  expect(missing.status).toBe(401);
  const metadata = `http://${storefront.ready.entry}/.well-known/oauth-protected-resource`;
  expect(missing.headers['www-authenticate']).toBe(
    `Bearer realm="behalf", resource_metadata="${metadata}", DPoP realm="behalf", resource_metadata="${metadata}", algs="ES256 Ed25519 EdDSA"`,
  );
  expect(JSON.parse(missing.body)).toMatchObject({ code: 'delegation_missing', status: 401 });
  const wrong = await entry('/orders/1', { authorization: 'Bearer nonsense' });
  expect(wrong.status).toBe(401);
  expect(wrong.headers['www-authenticate']).toContain('error="invalid_token"');
  expect(JSON.parse(wrong.body)).toMatchObject({ code: 'entry_token_invalid' });
  expect(JSON.parse((await entry('/orders/1', { authorization: 'Bearer expired-token' })).body)).toMatchObject({
    code: 'entry_token_expired',
  });
  const two = await ask(storefront.ready.entry as string, {
    path: '/orders/1',
    headers: ['host', 'x', 'authorization', 'Bearer a', 'authorization', 'Bearer b'],
  });
  expect(two.status).toBe(400);
  expect(JSON.parse(two.body)).toMatchObject({ code: 'entry_ambiguous' });
});

test('a call without a context runs on the workload’s own authority where the edge says so, and is refused elsewhere', async () => {
  const own = await ask(orders.ready.peers['payments'] as string, { method: 'POST', path: '/charges' });
  expect(own.status, own.body).toBe(200);
  expect((JSON.parse(own.body) as Echo).headers['delegation-subject']).toBe(mesh.id('orders'));
  const [hop] = await requestWith(({ carrier }) => carrier === 'own', 2);
  expect(hop?.personal?.subject).toBe(mesh.id('orders'));
  const none = await ask(storefront.ready.peers['orders'] as string, { path: '/orders/1' });
  expect(none.status).toBe(403);
  expect(JSON.parse(none.body)).toMatchObject({ code: 'delegation_missing' });
  const unknown = await ask(orders.ready.peers['payments'] as string, {
    headers: { 'delegation-context': 'AAAAAAAAAAAAAAAAAAAAAA' },
  });
  expect(JSON.parse(unknown.body)).toMatchObject({ code: 'context_unknown' });
});

test('the receiver’s policy, scopes and routes refuse, and both sides’ events carry the code', async () => {
  const policy = await ask(inventory.ready.peers['payments'] as string, { method: 'POST', path: '/charges' });
  expect(policy.status).toBe(403);
  expect(policy.headers['delegation-error']).toBeUndefined();
  expect(JSON.parse(policy.body)).toMatchObject({ code: 'policy_denied' });
  const sides = await requestWith(({ code }) => code === 'policy_denied', 2);
  expect(sides.map((hop) => [hop.code, hop.refusedBy, hop.outcome])).toEqual([
    ['policy_denied', mesh.id('payments'), 'OUTCOME_REFUSED'],
    ['policy_denied', mesh.id('payments'), 'OUTCOME_REFUSED'],
  ]);
  const scope = await ask(orders.ready.peers['payments'] as string, { method: 'POST', path: '/refunds' });
  expect(JSON.parse(scope.body)).toMatchObject({ code: 'insufficient_scope' });
  const route = await ask(orders.ready.peers['payments'] as string, { method: 'GET', path: '/nothing' });
  expect(JSON.parse(route.body)).toMatchObject({ code: 'route_unknown' });
});

test('clients outside see delegation_refused for what the mesh refuses inside', async () => {
  const reply = await ask(storefront.ready.entry as string, {
    method: 'DELETE',
    path: '/orders/1',
    headers: { authorization: 'Bearer user-token' },
  });
  expect(reply.status).toBe(403);
  const problem = JSON.parse(reply.body);
  expect(problem).toMatchObject({ code: 'delegation_refused' });
  await eventually(() =>
    expect(
      mesh.hops().some((hop) => hop.hopId.toString('base64url') === problem.hop && hop.code === 'route_unknown'),
    ).toBe(true),
  );
});

test('what a peer refuses behind an entry is on record with that peer, and hidden outside', async () => {
  const reply = await ask(storefront.ready.entry as string, {
    method: 'POST',
    path: '/orders',
    headers: { authorization: 'Bearer reader-token' },
  });
  expect(JSON.parse(reply.body)).toMatchObject({ code: 'delegation_refused' });
  const hops = await requestWith(({ code, route }) => code === 'insufficient_scope' && route === 'POST /orders', 3);
  expect(hops.map(({ refusedBy }) => refusedBy)).toEqual([1, 2, 3].map(() => mesh.id('orders')));
});

test('a handle outlives its response for as long as the sidecar’s configuration says', async () => {
  let handle = '';
  const app = await startHttp1App((request, response) => {
    handle = request.headers['delegation-context'] as string;
    response.end();
  });
  apps.push(app);
  const port = { listen: '127.0.0.1:0' };
  const sidecar = await mesh.sidecar('orders', {
    entry: port,
    app: { address: app.address, protocol: 'http1' },
    peers: [{ name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] }],
    context: { lingerMs: 1_000 },
  });
  await eventually(async () => expect((await entry('/any/echo', undefined, sidecar)).status).toBe(200));
  const call = () =>
    ask(sidecar.ready.peers['payments'] as string, {
      method: 'POST',
      path: '/charges',
      headers: { 'delegation-context': handle },
    });
  // Before the ten seconds that stand without it.
  await vi.waitFor(async () => expect(JSON.parse((await call()).body)).toMatchObject({ code: 'context_unknown' }), {
    timeout: 8_000,
  });
});

test('a root is reused for the same token and scope, and links and chains go by slot', async () => {
  await entry('/orders/1');
  const before = mesh.exchanges();
  for (let i = 0; i < 5; i += 1) expect((await entry('/orders/1')).status).toBe(200);
  expect(mesh.exchanges()).toBe(before);
  const chains = new Set(
    mesh
      .hops()
      .slice(-10)
      .filter((hop) => hop.callee === mesh.id('payments'))
      .map((hop) => hop.chainId.toString('hex')),
  );
  expect(chains.size).toBe(1);
});

test.each([
  ['our authority', 'https://authority.test', 'delegation_malformed'],
  ['another issuer that the policy names', 'https://login.test', 'delegation_malformed'],
  ['an issuer that nobody here takes tokens of', 'https://elsewhere.test', 200],
])('a token of %s inside the mesh is judged before anything else', async (_, iss, code) => {
  const payload = Buffer.from(JSON.stringify({ iss, sub: 'x' })).toString('base64url');
  const reply = await ask(orders.ready.peers['payments'] as string, {
    method: 'POST',
    path: '/charges',
    headers: { authorization: `Bearer eyJhbGciOiJFUzI1NiJ9.${payload}.c2ln` },
  });
  expect(JSON.parse(reply.body).code ?? reply.status).toBe(code);
});
