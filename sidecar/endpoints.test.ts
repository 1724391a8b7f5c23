/** Several endpoints of one peer: calls spread, and one that stops or dies takes none with it that it had not begun. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const WORKERS = 8;

let mesh: TestMesh;
let app: TestApp;
let first: TestSidecar;
let second: TestSidecar;
let orders: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  const config = { mesh: { listen: '127.0.0.1:0' }, app: { address: app.address, protocol: 'http1' as const } };
  first = await mesh.sidecar('payments', config);
  second = await mesh.sidecar('payments', config);
  const endpoints = [first.ready.mesh as string, second.ready.mesh as string];
  orders = await mesh.sidecar('orders', {
    peers: [{ name: 'payments', id: mesh.id('payments'), listen: '127.0.0.1:0', endpoints }],
  });
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

function call() {
  return ask(orders.ready.peers['payments'] as string, { method: 'POST', path: '/charges', body: 'x'.repeat(1_000) });
}

test('calls go to all endpoints, and one that stops under load fails none', { timeout: 30_000 }, async () => {
  const failures: string[] = [];
  let running = true;
  let done = 0;
  const load = Promise.all(
    Array.from({ length: WORKERS }, async () => {
      while (running) {
        const reply = await call();
        if (reply.status !== 200) failures.push(`${reply.status} ${reply.body}`);
        done += 1;
      }
    }),
  );
  await eventually(() => expect(done).toBeGreaterThan(100));
  const serials = () =>
    new Set(
      mesh
        .hops()
        .filter(({ side }) => side === 'SIDE_CALLER')
        .map(({ peerSerial }) => peerSerial.toString('hex')),
    );
  await eventually(() => expect(serials().size).toBe(2));
  await first.stop();
  const atStop = done;
  await eventually(() => expect(done).toBeGreaterThan(atStop + 100));
  running = false;
  await load;
  expect(failures).toEqual([]);
});

test('with no endpoint left a call is upstream_unavailable', async () => {
  await second.stop();
  const reply = await call();
  expect(reply.status).toBe(503);
  expect(JSON.parse(reply.body)).toMatchObject({ code: 'upstream_unavailable' });
});
