/** Less on each call: what the app asks for, what an edge lets through, and what a route demands, through real sidecars. */
import http2 from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
workloads:
  desk: { owner: desk, reason: users enter, entry: { ceiling: ["notes:read", "notes:write", "bills:pay"] } }
  clock: { owner: clock, reason: acts by itself, own: [{ to: store, scopes: ["notes:read", "notes:write"] }] }
edges:
  - { from: desk, to: store, narrowTo: ["notes:read", "notes:write"] }
  - { from: clock, to: store }
`,
  'calls.cedar': '@id("calls") permit(principal, action == Behalf::Action::"call", resource);',
};

let mesh: TestMesh;
let desk: TestSidecar;
let clock: TestSidecar;
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
  const store = await mesh.sidecar('store', { mesh: port, app: await app() });
  const toStore = { name: 'store', id: mesh.id('store'), ...port, endpoints: [store.ready.mesh as string] };
  desk = await mesh.sidecar('desk', { mesh: port, entry: port, app: await app(), peers: [toStore] });
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
async function context(): Promise<string> {
  return (JSON.parse((await enter()).body) as Echo).headers['delegation-context'] as string;
}

/** A call of desk's app to store for a user. */
async function call(headers: Record<string, string | string[]>, path = '/notes'): Promise<Reply> {
  return ask(desk.ready.peers['store'] as string, {
    path,
    headers: { 'delegation-context': await context(), ...headers },
  });
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
  const handle = await context();
  const scopesOf = async (headers: Record<string, string>) => {
    const reply = await ask(desk.ready.peers['store'] as string, {
      headers: { 'delegation-context': handle, ...headers },
    });
    return seenBy(reply).headers['delegation-scopes'];
  };
  for (const round of [1, 2]) {
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
  const handle = await context();
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
