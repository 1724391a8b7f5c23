/** Requests from outside with no credential: let in by public routes alone, as nobody's; and floods of refused ones. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildSnapshot } from '../policy/index.ts';
import { CALLS_PER_ADDRESS } from './report/refused-connections.ts';
import { ask, type Echo, type Reply, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';

const FILES = {
  'mesh.yaml': `
trustDomain: shop.example
scopes: { "orders:read": { title: Read orders, description: See your orders } }
services:
  desk:
    owner: web
    reason: shop
    routes:
      - { method: GET, path: "/prices", scopes: [], public: true }
      - { method: GET, path: "/closed", scopes: [], public: true }
      - { method: GET, path: "/mine", scopes: [] }
  stock: { owner: stock, reason: stock, routes: [{ method: GET, path: "/stock", scopes: [], public: true }] }
workloads:
  desk: { owner: web, reason: users enter, entry: { ceiling: ["orders:read"] } }
  front: { owner: web, reason: users enter, entry: { ceiling: [] }, own: [{ to: stock, scopes: [] }] }
  lobby: { owner: web, reason: users enter, entry: { ceiling: [] } }
edges: [{ from: desk, to: stock }, { from: front, to: stock }, { from: lobby, to: stock }]
`,
  'schema.cedarschema': '',
  'calls.cedar': `
@id("calls") permit(principal, action == Behalf::Action::"call", resource);
@id("closed") forbid(principal, action, resource) when { resource has template && resource.template == "/closed" && context.subject == "" };
`,
};

let mesh: TestMesh;
let app: TestApp;
let desk: TestSidecar;
let front: TestSidecar;
let lobby: TestSidecar;
let onward: Reply | null = null;
let number = 1;

const snapshotOf = (files: typeof FILES) =>
  buildSnapshot({ files, number: number++, issuedAtS: Math.floor(Date.now() / 1000) });

beforeAll(async () => {
  mesh = await startTestMesh(snapshotOf(FILES));
  mesh.tokens.set('user-token', { sub: 'u:AAAAAAAAAAAAAAAAAAAAAA', scope: 'orders:read' });
  const port = { listen: '127.0.0.1:0' };
  app = await startHttp1App((request, response) => {
    const answer = (): void => void response.end(JSON.stringify({ headers: request.headers }));
    if (request.url !== '/prices?onward') return answer();
    // Calls on as an app does that copies what it got, which is nothing.
    void ask(desk.ready.peers['stock'] as string, { path: '/stock' }).then((reply) => {
      onward = reply;
      answer();
    });
  });
  const stock = await mesh.sidecar('stock', { mesh: port, app: { address: app.address, protocol: 'http1' } });
  const peers = [{ name: 'stock', id: mesh.id('stock'), ...port, endpoints: [stock.ready.mesh as string] }];
  const own = { address: app.address, protocol: 'http1' as const };
  desk = await mesh.sidecar('desk', { entry: port, peers, app: own });
  front = await mesh.sidecar('front', { entry: { ...port, forward: 'stock' }, peers });
  lobby = await mesh.sidecar('lobby', { entry: { ...port, forward: 'stock' }, peers });
  await eventually(async () => expect((await enter('/prices')).status).toBe(200));
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

const enter = (path: string, headers: Record<string, string> = {}, sidecar = desk): Promise<Reply> =>
  ask(sidecar.ready.entry as string, { path, headers });
const codeOf = ({ body }: Reply): string => (JSON.parse(body) as { code: string }).code;

test('a public route lets a request in with no credential: the app gets no facts and no handle, the record says so', async () => {
  const forged = { 'delegation-subject': 'u:forged', 'client-cert': ':AA==:', 'x-original-url': '/mine', a: '1' };
  const reply = await enter('/prices', forged);
  expect(reply.status, reply.body).toBe(200);
  const names = Object.keys((JSON.parse(reply.body) as Echo).headers);
  expect(names.filter((name) => /^(delegation|txn-token|client-cert|x-original|baggage)/.test(name))).toEqual([]);
  expect(names).toContain('a');
  await eventually(() => {
    const hop = mesh.hops().findLast(({ route }) => route === 'GET /prices');
    expect(hop).toMatchObject({ side: 'SIDE_ENTRY', carrier: 'public', personal: null, policies: ['calls'], code: '' });
  });
});

test('other routes still need one, and policy decides on public ones too', async () => {
  const missing = await enter('/mine');
  expect([missing.status, codeOf(missing)]).toEqual([401, 'delegation_missing']);
  expect(codeOf(await enter('/closed'))).toBe('delegation_refused');
  await eventually(() =>
    expect(mesh.hops().some(({ code, carrier }) => code === 'policy_denied' && carrier === 'public')).toBe(true),
  );
  expect((await enter('/closed', { authorization: 'Bearer user-token' })).status).toBe(200);
});

test('a credential that is there is judged on a public route too, never passed over', async () => {
  for (const [headers, code] of [
    [{ authorization: 'Bearer nonsense' }, 'entry_token_invalid'],
    [{ authorization: 'Basic YTpi' }, 'entry_token_invalid'],
    [{ authorization: 'DPoP x' }, 'entry_proof_invalid'],
    [{ dpop: 'x' }, 'entry_proof_invalid'],
    [{ authorization: 'Bearer user-token', 'delegation-deferred': 'x' }, 'entry_ambiguous'],
  ] as const)
    expect(codeOf(await enter('/prices', headers)), JSON.stringify(headers)).toBe(code);
  const known = await enter('/prices', { authorization: 'Bearer user-token' });
  expect((JSON.parse(known.body) as Echo).headers['delegation-subject']).toBe('u:AAAAAAAAAAAAAAAAAAAAAA');
});

test('what the app calls meanwhile has no delegation', async () => {
  expect((await enter('/prices?onward')).status).toBe(200);
  expect(codeOf(onward as unknown as Reply)).toBe('delegation_missing');
});

test('an entry that hands on calls the peer on its own authority, or not at all', async () => {
  const reply = await enter('/stock', {}, front);
  expect(reply.status, reply.body).toBe(200);
  expect((JSON.parse(reply.body) as Echo).headers['delegation-subject']).toBe(mesh.id('front'));
  expect(codeOf(await enter('/stock', {}, lobby))).toBe('delegation_missing');
  await eventually(() => {
    const callee = mesh.hops().findLast(({ side, callee }) => side === 'SIDE_CALLEE' && callee === mesh.id('stock'));
    const request = mesh.hops().filter(({ requestId }) => requestId.equals(callee?.requestId as Buffer));
    expect(request.map(({ carrier }) => carrier).toSorted()).toEqual(['own', 'public', 'wire']);
  });
});

test('a stream that an entry hands on for nobody ends where its route is public no more', async () => {
  const port = { listen: '127.0.0.1:0' };
  const slow = await startHttp1App((_request, response) => void response.write('begun'));
  const stock = await mesh.sidecar('stock', { mesh: port, app: { address: slow.address, protocol: 'http1' } });
  const peer = { name: 'stock', id: mesh.id('stock'), ...port, endpoints: [stock.ready.mesh as string] };
  const entry = await mesh.sidecar('front', { entry: { ...port, forward: 'stock' }, peers: [peer] });
  const answer = await eventually(async () => {
    const begun = await fetch(`http://${entry.ready.entry}/stock`);
    expect(begun.status).toBe(200);
    return begun;
  });
  const closed = FILES['mesh.yaml'].replace('path: "/stock", scopes: [], public: true', 'path: "/stock", scopes: []');
  mesh.putSnapshot(snapshotOf({ ...FILES, 'mesh.yaml': closed }));
  await expect(answer.text()).rejects.toThrow();
  mesh.putSnapshot(snapshotOf(FILES));
  await entry.stop();
  await stock.stop();
  await slow.close();
});

test('a flood of refusals is counted, and the count is on record', async () => {
  const refused = CALLS_PER_ADDRESS + 150;
  const written = () =>
    mesh.hops().filter(({ code, callee }) => code === 'entry_token_invalid' && callee === mesh.id('front')).length;
  const counted = () =>
    mesh
      .refusedConnections()
      .filter(({ listener, code }) => listener === 'entry' && code === 'entry_token_invalid')
      .reduce((sum, { suppressed }) => sum + suppressed, 0);
  for (let i = 0; i < refused; i += 50) {
    const batch = Array.from({ length: 50 }, () => enter('/stock', { authorization: 'Bearer nonsense' }, front));
    for (const reply of await Promise.all(batch)) expect(reply.status).toBe(401);
  }
  await front.stop();
  await eventually(() => expect(written() + counted()).toBe(refused));
  expect(written()).toBeLessThanOrEqual(2 * CALLS_PER_ADDRESS);
  expect(counted()).toBeGreaterThan(0);
});

test('a route that is public no more refuses at once', async () => {
  const closed = FILES['mesh.yaml'].replace('path: "/prices", scopes: [], public: true', 'path: "/prices", scopes: []');
  mesh.putSnapshot(snapshotOf({ ...FILES, 'mesh.yaml': closed }));
  await eventually(async () => expect(codeOf(await enter('/prices'))).toBe('delegation_missing'));
});
