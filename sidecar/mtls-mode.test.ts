/** Mutual TLS and the record alone: `mode: mtls`. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildSnapshot } from '../policy/index.ts';
import { SHOP_FILES } from '../policy/testing/shop.ts';
import { ask, type Echo, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';

const dev = { mode: 'mtls', devMode: true } as const;
const port = { listen: '127.0.0.1:0' };

let mesh: TestMesh;
let app: TestApp;
let server: TestSidecar;
let client: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(buildSnapshot({ files: SHOP_FILES, number: 1, issuedAtS: Date.now() / 1000 }));
  app = await startHttp1App();
  server = await mesh.sidecar('payments', {
    ...dev,
    mesh: { listen: '127.0.0.1:0' },
    app: { address: app.address, protocol: 'http1' },
  });
  const endpoints = [server.ready.mesh as string];
  client = await mesh.sidecar('orders', {
    ...dev,
    shared: { listen: '127.0.0.1:0' },
    peers: [{ name: 'payments', id: mesh.id('payments'), listen: '127.0.0.1:0', endpoints }],
  });
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

test('a call goes through both sidecars and both sides are on record under one hop id', async () => {
  const before = mesh.hops().length;
  const reply = await ask(client.ready.peers['payments'] as string, {
    method: 'POST',
    path: '/charge?x=1',
    body: 'hello',
  });
  expect(reply.status).toBe(200);
  const seen = JSON.parse(reply.body) as Echo;
  expect(seen).toMatchObject({ method: 'POST', url: '/charge?x=1', body: 'hello' });
  expect(seen.headers['host']).toBe('payments');
  await eventually(() => expect(mesh.hops().length).toBe(before + 2));
  const [a, b] = mesh.hops().slice(before);
  expect(a?.hopId).toEqual(b?.hopId);
  expect(new Set([a?.side, b?.side])).toEqual(new Set(['SIDE_CALLER', 'SIDE_CALLEE']));
  expect(a).toMatchObject({
    caller: mesh.id('orders'),
    callee: mesh.id('payments'),
    outcome: 'OUTCOME_FORWARDED',
    httpStatus: 200,
    goesOn: false,
  });
  expect(
    a?.peerSerial.equals(b?.ownSerial ?? Buffer.alloc(0)) || a?.ownSerial.equals(b?.peerSerial ?? Buffer.alloc(0)),
  ).toBe(true);
});

test('the shared port finds the peer by Host, and refuses a host that it does not know', async () => {
  const shared = client.ready.shared as string;
  const reply = await ask(shared, { headers: { host: 'payments:80' } });
  expect(reply.status).toBe(200);
  const unknown = await ask(shared, { headers: { host: 'nobody' } });
  expect(unknown.status).toBe(403);
  expect(JSON.parse(unknown.body)).toMatchObject({ code: 'route_unknown' });
});

test('a full spool denies calls before their answer goes out, on either side', async () => {
  const full = { ...dev, collectorAddress: '127.0.0.1:1', audit: { maxSpoolBytes: 65_536 } };
  const far = await mesh.sidecar('payments', { ...full, mesh: port, app: { address: app.address, protocol: 'http1' } });
  const peer = { name: 'payments', id: mesh.id('payments'), ...port };
  const near = await mesh.sidecar('orders', {
    ...full,
    peers: [{ ...peer, endpoints: [server.ready.mesh as string] }],
  });
  const throughFar = await mesh.sidecar('orders', {
    ...dev,
    peers: [{ ...peer, endpoints: [far.ready.mesh as string] }],
  });
  for (const at of [near.ready.peers['payments'] as string, throughFar.ready.peers['payments'] as string]) {
    let last = await ask(at);
    for (let i = 0; i < 2_000 && last.status === 200; i += 1) last = await ask(at);
    expect(last.status).toBe(503);
    expect(JSON.parse(last.body)).toMatchObject({ code: 'audit_unavailable' });
  }
});
