/** Less on each call: what the app asks for, what an edge lets through, and what a route demands, through real sidecars. */
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHopMinter, formatHop, type LinkOrder, mintLink } from '../delegation/index.ts';
import { meshClientTlsOptions } from '../identity/mtls/index.ts';
import { buildSnapshot, type PolicySnapshot } from '../policy/index.ts';
import type { Hop } from '../proto/behalf/audit/v1/audit.ts';
import { ask, type Echo, type Reply, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';

const ALL = 'notes:read notes:write bills:pay';
const POLICY = {
  'mesh.yaml': `
trustDomain: shop.example
scopes:
  notes:read: { title: Read, description: Read your notes }
  notes:write: { title: Write, description: Write your notes }
  bills:pay: { title: Pay, description: Pay your bills }
services:
  desk: { owner: desk, reason: users enter, routes: [{ method: "*", path: "/{+rest}", scopes: [], passes: ["notes:read", "notes:write", "bills:pay"] }] }
  store:
    owner: store
    reason: keeps notes
    routes:
      - { method: "*", path: "/{+rest}", scopes: [] }
      - { method: POST, path: "/bound/{id}", scopes: [], bind: route }
      - { method: POST, path: "/once", scopes: [], bind: pod }
      - { method: POST, path: "/fresh", scopes: [], fresh: true }
  relay: { owner: relay, reason: hands on, routes: [{ method: "*", path: "/{+rest}", scopes: [] }] }
  archive: { owner: archive, reason: keeps what is old, routes: [{ method: "*", path: "/{+rest}", scopes: [] }] }
workloads:
  desk: { owner: desk, reason: users enter, entry: { ceiling: ["notes:read", "notes:write", "bills:pay"] } }
  clock: { owner: clock, reason: acts by itself, own: [{ to: store, scopes: ["notes:read", "notes:write"] }] }
edges:
  - { from: desk, to: store, narrowTo: ["notes:read", "notes:write"], maxDepth: 1 }
  - { from: desk, to: relay, next: [archive] }
  - { from: clock, to: store }
  - { from: store, to: archive }
  - { from: relay, to: archive }
  - { from: relay, to: store }
`,
  'calls.cedar': '@id("calls") permit(principal, action == Behalf::Action::"call", resource);',
};

let mesh: TestMesh;
let desk: TestSidecar;
let clock: TestSidecar;
let store: TestSidecar;
let relay: TestSidecar;
const apps: TestApp[] = [];

function snapshot(): PolicySnapshot {
  return buildSnapshot({ files: POLICY, number: 1, issuedAtS: Math.floor(Date.now() / 1000) });
}

beforeAll(async () => {
  mesh = await startTestMesh(snapshot());
  mesh.tokens.set('user-token', { sub: 'u:AAAAAAAAAAAAAAAAAAAAAA', scope: ALL });
  const port = { listen: '127.0.0.1:0' };
  const app = async () => {
    const started = await startHttp1App();
    apps.push(started);
    return { address: started.address, protocol: 'http1' as const };
  };
  const peer = (name: string, { ready }: TestSidecar) => ({
    name,
    id: mesh.id(name),
    ...port,
    endpoints: [ready.mesh as string],
  });
  const toArchive = peer('archive', await mesh.sidecar('archive', { mesh: port, app: await app() }));
  store = await mesh.sidecar('store', { mesh: port, app: await app(), peers: [toArchive] });
  const toStore = peer('store', store);
  relay = await mesh.sidecar('relay', { mesh: port, app: await app(), peers: [toArchive, toStore] });
  const peers = [toStore, peer('relay', relay)];
  desk = await mesh.sidecar('desk', { mesh: port, entry: port, app: await app(), peers });
  clock = await mesh.sidecar('clock', { mesh: port, app: await app(), peers: [toStore] });
  await eventually(async () => expect((await enter()).status).toBe(200));
  await eventually(async () => expect((await ask(clock.ready.peers['store'] as string)).status).toBe(200));
});

afterAll(async () => {
  await mesh.close();
  for (const app of apps) await app.close();
});

function enter(headers: Record<string, string> = {}): Promise<Reply> {
  return ask(desk.ready.entry as string, { headers: { authorization: 'Bearer user-token', ...headers } });
}

/** Handle of a user's request whose answer has just ended: calls go on with it for a while. */
async function newContext(): Promise<string> {
  return (JSON.parse((await enter()).body) as Echo).headers['delegation-context'] as string;
}

/** A call of desk's app to store, or another, for a user. */
async function call(
  headers: Record<string, string | string[]>,
  { method = 'GET', path = '/notes', to = 'store', handle = '' } = {},
): Promise<Reply> {
  const context = handle === '' ? await newContext() : handle;
  return ask(desk.ready.peers[to] as string, { method, path, headers: { 'delegation-context': context, ...headers } });
}

/** A call that goes on from one that arrived, with the handle that its receiver's app was given. */
function goOn(from: TestSidecar, to: string, arrived: Reply): Promise<Reply> {
  const { headers } = JSON.parse(arrived.body) as Echo;
  return ask(from.ready.peers[to] as string, { headers: { 'delegation-context': headers['delegation-context'] } });
}

/** Claims of the last link of the chain that a hop's sides have on record. */
function lastLink({ chainId }: Hop): Record<string, unknown> {
  const chain = mesh.chains.find((body) => body.chainId.equals(chainId))?.delegationChain ?? '';
  const payload = chain.split(', ').at(-1)?.split('.')[1] ?? '';
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

function seenBy(reply: Reply): Echo {
  expect(reply.status, reply.body).toBe(200);
  return JSON.parse(reply.body) as Echo;
}

function code(reply: Reply): string {
  return (JSON.parse(reply.body) as { code: string }).code;
}

/** All sides on record of the newest hop that has one like that. */
async function newest(like: (hop: Hop) => boolean, count: number): Promise<Hop[]> {
  let found: Hop[] = [];
  await eventually(() => {
    const last = mesh.hops().findLast(like);
    found = mesh.hops().filter((hop) => last !== undefined && hop.hopId.equals(last.hopId));
    expect(found.length).toBe(count);
  });
  return found;
}

test('the app asks for less: the receiver has that and no more, on record on both sides', async () => {
  const seen = seenBy(await call({ 'Delegation-Scope': 'notes:read' }));
  expect(seen.headers['delegation-scopes']).toBe('notes:read');
  expect(Object.keys(seen.headers)).not.toContain('delegation-scope');
  const sides = await newest(({ scope }) => scope === 'notes:read', 2);
  expect(sides.map(({ scope }) => scope)).toEqual(['notes:read', 'notes:read']);
});

test('asked differently on one request, each call has its own scope: no link is taken for another', async () => {
  let handle = '';
  const scopesOf = async (headers: Record<string, string>) => {
    const reply = await ask(desk.ready.peers['store'] as string, {
      headers: { 'delegation-context': handle, ...headers },
    });
    return seenBy(reply).headers['delegation-scopes'];
  };
  for (const round of [1, 2]) {
    // Requests of one user share a root, so that the second round could be sent the first one's links.
    handle = await newContext();
    expect(await scopesOf({}), `round ${round}`).toBe('notes:read notes:write');
    expect(await scopesOf({ 'delegation-scope': 'notes:read' })).toBe('notes:read');
    expect(await scopesOf({ 'delegation-scope': 'notes:write' })).toBe('notes:write');
    expect(await scopesOf({ 'delegation-scope': '' })).toBe('');
    expect(await scopesOf({ 'delegation-scope': 'notes:write notes:read' })).toBe('notes:read notes:write');
  }
});

test('more than is left after the edge is refused and not sent', async () => {
  // The request itself has bills:pay; the edge does not let it through.
  for (const asked of ['notes:read bills:pay', 'notes:admin']) {
    const reply = await call({ 'delegation-scope': asked });
    expect([reply.status, code(reply)]).toEqual([403, 'delegation_scope_widened']);
  }
  const [hop] = await newest(({ code }) => code === 'delegation_scope_widened', 1);
  expect(hop).toMatchObject({ side: 'SIDE_CALLER', refusedBy: mesh.id('desk') });
});

test('a field that is malformed, there twice or spelled otherwise is refused with request_malformed', async () => {
  const bad: Record<string, string | string[]>[] = [
    { 'delegation-scope': 'notes:read  notes:write' },
    { 'delegation-scope': 'notes:read notes:read' },
    { 'delegation-scope': ['notes:read', 'notes:read'] },
    { Delegation_Scope: 'notes:read' },
  ];
  for (const headers of bad) {
    const reply = await call(headers);
    expect([reply.status, code(reply)], JSON.stringify(headers)).toEqual([400, 'request_malformed']);
  }
});

test('a workload that acts for itself can ask for less too, and not for more', async () => {
  const own = (scope: string) => ask(clock.ready.peers['store'] as string, { headers: { 'delegation-scope': scope } });
  const seen = seenBy(await own('notes:read'));
  expect(seen.headers['delegation-scopes']).toBe('notes:read');
  expect(seen.headers['delegation-subject']).toBe(mesh.id('clock'));
  expect(code(await own('bills:pay'))).toBe('delegation_scope_widened');
});

test('from outside the field means nothing and reaches no app', async () => {
  const seen = seenBy(await enter({ 'Delegation-Scope': 'notes:read', 'delegation.scope': 'x' }));
  expect(seen.headers['delegation-scopes']).toBe(ALL);
  expect(JSON.stringify(seen.rawHeaders).toLowerCase()).not.toMatch(/delegation.scope"/);
});

test('over HTTP/2 and gRPC it is the same', async () => {
  const session = http2.connect(`http://${desk.ready.peers['store'] as string}`);
  const handle = await newContext();
  const send = (scope: string | string[], grpc: boolean): Promise<{ head: http2.IncomingHttpHeaders; body: string }> =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ':path': '/notes',
        ':method': grpc ? 'POST' : 'GET',
        'delegation-context': handle,
        'delegation-scope': scope,
        ...(grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      });
      let head: http2.IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      stream.on('response', (received) => {
        head = received;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve({ head, body: Buffer.concat(chunks).toString() }));
      stream.on('error', reject);
      stream.end();
    });
  try {
    const less = await send('notes:write', false);
    expect((JSON.parse(less.body) as Echo).headers['delegation-scopes']).toBe('notes:write');
    expect((JSON.parse((await send('bills:pay', false)).body) as { code: string }).code).toBe(
      'delegation_scope_widened',
    );
    expect((await send(['notes:read', 'notes:read'], false)).head[':status']).toBe(400);
    expect((await send('bills:pay', true)).head['grpc-message']).toMatch(/^delegation_scope_widened/);
    expect((await send('notes:read', true)).head['grpc-message']).toBeUndefined();
  } finally {
    session.close();
  }
});

test('a route that binds to itself gets links that name it, new for each call', async () => {
  const handle = await newContext();
  const seen = new Set<string>();
  for (const id of ['1', '2', '2']) {
    const reply = await call({}, { method: 'POST', path: `/bound/${id}?x=1`, handle });
    expect(reply.status, reply.body).toBe(200);
  }
  await eventually(() => {
    const hops = mesh.hops().filter(({ route }) => route === 'POST /bound/{id}');
    expect(hops.length).toBe(3);
    for (const hop of hops) {
      expect(lastLink(hop)).toMatchObject({ rte: 'POST /bound/{id}' });
      expect(lastLink(hop)).not.toHaveProperty('once');
      seen.add(String(lastLink(hop)['jti']));
    }
  });
  expect(seen.size).toBe(3);
});

test('a route that binds to one use at one pod gets links for the certificate of the connection chosen', async () => {
  const handle = await newContext();
  // In the second in which the receiver started, a link still counts as one from before.
  await eventually(async () => expect((await call({}, { method: 'POST', path: '/once', handle })).status).toBe(200));
  expect((await call({}, { method: 'POST', path: '/once', handle })).status).toBe(200);
  await eventually(() => {
    const hops = mesh.hops().filter(({ route, code }) => route === 'POST /once' && code === '');
    expect(hops.length).toBe(2);
    const links = hops.map(lastLink);
    for (const link of links) {
      expect(link).toMatchObject({ rte: 'POST /once', once: store.identity.current().certificateS256 });
    }
    expect(links[0]?.['jti']).not.toBe(links[1]?.['jti']);
  });
});

test('a chain that is bound to one call takes no slot at its receiver; others do', async () => {
  const [host, port] = String(store.ready.mesh).split(':');
  const socket = tls.connect({
    ...meshClientTlsOptions(desk.identity),
    host,
    port: Number(port),
    ALPNProtocols: ['behalf-h2/1'],
  });
  const session = http2.connect('http://store', { createConnection: () => socket });
  const hops = createHopMinter(randomBytes(6));
  const present = (path: string, binding: Partial<LinkOrder> = {}): Promise<http2.IncomingHttpHeaders> => {
    const chain = mintLink({
      parent: mesh.root(desk.identity, 'notes:read'),
      to: mesh.id('store'),
      signer: desk.identity.current(),
      nowS: Date.now() / 1000,
      jti: randomBytes(12),
      ...binding,
    });
    const hop = { hop: hops.next(), parent: null, request: randomBytes(12).toString('base64url') };
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'txn-token': chain.txnToken,
      'delegation-chain': chain.delegationChain,
      'delegation-credentials': chain.delegationCredentials,
      'delegation-hop': formatHop(hop),
    });
    stream.resume();
    stream.end();
    return new Promise((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('error', reject);
    });
  };
  try {
    const rte = 'POST /bound/{id}';
    const once = store.identity.current().certificateS256;
    const bound = await present('/bound/1', { rte });
    expect([bound[':status'], bound['delegation-slot']]).toEqual([200, undefined]);
    const good = await present('/once', { rte: 'POST /once', once });
    expect([good[':status'], good['delegation-slot']]).toEqual([200, undefined]);
    const plain = await present('/notes');
    expect([plain[':status'], plain['delegation-slot']]).toEqual([200, expect.any(String)]);
    const unbound = await present('/bound/1');
    expect([unbound[':status'], unbound['delegation-error']]).toEqual([403, 'delegation_wrong_route']);
    const routeOnly = await present('/once', { rte: 'POST /once' });
    expect([routeOnly[':status'], routeOnly['delegation-error']]).toEqual([403, 'delegation_wrong_route']);
  } finally {
    session.destroy();
  }
});

test('own authority gets a new root for each call of a route marked fresh, and reuses it elsewhere', async () => {
  const own = (path: string) => ask(clock.ready.peers['store'] as string, { method: 'POST', path });
  await own('/notes');
  const before = mesh.exchanges();
  await own('/notes');
  expect(mesh.exchanges()).toBe(before);
  await own('/fresh');
  await own('/fresh');
  expect(mesh.exchanges()).toBe(before + 2);
});

test('an edge with a depth: who receives over it cannot hand on, and the call is not sent', async () => {
  const arrived = await call({});
  const reply = await goOn(store, 'archive', arrived);
  expect([reply.status, code(reply)]).toEqual([431, 'delegation_too_deep']);
  const [hop] = await newest(({ code }) => code === 'delegation_too_deep', 1);
  expect(hop).toMatchObject({ side: 'SIDE_CALLER', caller: mesh.id('store'), refusedBy: mesh.id('store') });
  const [edge] = await newest(({ caller, callee }) => caller === mesh.id('desk') && callee === mesh.id('store'), 2);
  expect(lastLink(edge as Hop)).toMatchObject({ del_max_depth: 1 });
});

test('an edge with next: who receives over it hands on to those alone', async () => {
  const arrived = await call({}, { to: 'relay' });
  expect(seenBy(await goOn(relay, 'archive', arrived)).headers['delegation-actors']).toBe(
    `${mesh.id('desk')}, ${mesh.id('relay')}`,
  );
  const reply = await goOn(relay, 'store', arrived);
  expect(code(reply)).toBe('delegation_broken_chain');
  const [hop] = await newest(({ code }) => code === 'delegation_broken_chain', 1);
  expect(hop).toMatchObject({ side: 'SIDE_CALLER', caller: mesh.id('relay'), callee: mesh.id('store') });
  const [edge] = await newest(({ callee }) => callee === mesh.id('relay'), 2);
  expect(lastLink(edge as Hop)).toMatchObject({ next: [mesh.id('archive')] });
});
