/** What one peer may take of the mTLS port: beyond it the answer is `overloaded`, and other peers still get in. */
import type http from 'node:http';
import http2 from 'node:http2';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestIdentity } from '../../identity/testing/issuer.ts';
import { ask, startHttp1App, type TestApp } from '../testing/apps.ts';
import { eventually } from '../testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from '../testing/mesh.ts';
import { shopSnapshot } from '../testing/shop.ts';

const LIMIT = 2;

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
/** Answers that the app holds back. */
const held: http.ServerResponse[] = [];
const sessions: http2.ClientHttp2Session[] = [];

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App((request, response) => {
    if (request.url === '/any/slow') held.push(response);
    else response.end('ok');
  });
  payments = await mesh.sidecar('payments', {
    mesh: { listen: '127.0.0.1:0', maxConnectionsPerPeer: LIMIT, maxCallsPerPeer: LIMIT },
    app: { address: app.address, protocol: 'http1' },
  });
});

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await mesh.close();
  await app.close();
});

/** A connection of a workload, and the code of its first answer: what is let in misses its delegation. */
async function codeOn(identity: TestIdentity): Promise<{ code: string; session: http2.ClientHttp2Session }> {
  const { privateKeyPem: key, certificateChainPem: cert } = identity.current();
  const [host, port] = (payments.ready.mesh as string).split(':');
  const socket = connect({ host, port: Number(port), key, cert, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const session = http2.connect('http://payments', { createConnection: () => socket });
  session.on('error', () => undefined);
  sessions.push(session);
  const stream = session.request({ ':path': '/any/x' });
  const head = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
    stream.on('response', resolve);
    stream.on('error', reject);
  });
  stream.resume();
  return { code: String(head['delegation-error']), session };
}

test('a peer with as many connections as it may have is answered overloaded on the next, others are let in', async () => {
  const orders = await mesh.issuer.issue(mesh.id('orders'));
  const storefront = await mesh.issuer.issue(mesh.id('storefront'));
  const first = await codeOn(orders);
  expect([first.code, (await codeOn(orders)).code]).toEqual(['delegation_missing', 'delegation_missing']);
  expect((await codeOn(orders)).code).toBe('overloaded');
  // The limit is the workload's: another certificate of it is no way around.
  expect((await codeOn(await mesh.issuer.issue(mesh.id('orders')))).code).toBe('overloaded');
  expect((await codeOn(storefront)).code).toBe('delegation_missing');
  first.session.destroy();
  await eventually(async () => expect((await codeOn(orders)).code).toBe('delegation_missing'));
  await eventually(() =>
    expect(mesh.refusedConnections()).toContainEqual(
      expect.objectContaining({ code: 'overloaded', peer: mesh.id('orders') }),
    ),
  );
  for (const session of sessions.splice(0)) session.destroy();
});

test('a peer with as many calls as it may run is answered overloaded on the next, until one has ended', async () => {
  const orders = await mesh.sidecar('orders', {
    peers: [
      {
        name: 'payments',
        id: mesh.id('payments'),
        listen: '127.0.0.1:0',
        endpoints: [payments.ready.mesh as string],
      },
    ],
  });
  const local = orders.ready.peers['payments'] as string;
  await eventually(async () => expect((await ask(local, { path: '/any/x' })).status).toBe(200));
  const slow = [ask(local, { path: '/any/slow' }), ask(local, { path: '/any/slow' })];
  await eventually(() => expect(held.length).toBe(LIMIT));
  const refused = await ask(local, { path: '/any/x' });
  expect(refused.status).toBe(503);
  expect(JSON.parse(refused.body)).toMatchObject({ code: 'overloaded' });
  await eventually(() =>
    expect(mesh.hops()).toContainEqual(expect.objectContaining({ side: 'SIDE_CALLEE', code: 'overloaded' })),
  );
  held.shift()?.end('done');
  expect((await slow[0])?.status ?? (await slow[1])?.status).toBe(200);
  await eventually(async () => expect((await ask(local, { path: '/any/x' })).status).toBe(200));
  for (const response of held.splice(0)) response.end('done');
  await Promise.all(slow);
});
