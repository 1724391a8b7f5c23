/** Certificates that are replaced all the time under load: no call fails, and new ones are used (DESIGN section 3). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const TTL_S = 6;
const RUN_MS = 12_000;
const RENEW_MS = 2_500;
const WORKERS = 8;

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let orders: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  payments = await mesh.sidecar(
    'payments',
    { mesh: { listen: '127.0.0.1:0' }, app: { address: app.address, protocol: 'http1' } },
    { ttlS: TTL_S },
  );
  const endpoints = [payments.ready.mesh as string];
  orders = await mesh.sidecar(
    'orders',
    { peers: [{ name: 'payments', id: mesh.id('payments'), listen: '127.0.0.1:0', endpoints }] },
    { ttlS: TTL_S },
  );
  await eventually(async () => expect((await call()).status).toBe(200));
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

function call() {
  const at = orders.ready.peers['payments'] as string;
  return ask(at, { method: 'POST', path: '/charges', body: 'x' });
}

test('no call fails while certificates live a few seconds and are renewed on both sides', {
  timeout: 60_000,
}, async () => {
  const until = performance.now() + RUN_MS;
  const failures: string[] = [];
  let done = 0;
  const renewing = setInterval(() => {
    void orders.identity.renew();
    setTimeout(() => void payments.identity.renew(), RENEW_MS / 3);
  }, RENEW_MS);
  await Promise.all(
    Array.from({ length: WORKERS }, async () => {
      while (performance.now() < until) {
        const reply = await call().catch((error) => ({ status: 0, body: String(error) }));
        if (reply.status !== 200) failures.push(`${reply.status} ${reply.body}`);
        done += 1;
      }
    }),
  );
  clearInterval(renewing);
  expect(failures).toEqual([]);
  expect(done).toBeGreaterThan(100);
  const callers = mesh.hops().filter(({ side }) => side === 'SIDE_CALLER');
  expect(new Set(callers.map(({ ownSerial }) => ownSerial.toString('hex'))).size).toBeGreaterThanOrEqual(4);
  expect(new Set(callers.map(({ peerSerial }) => peerSerial.toString('hex'))).size).toBeGreaterThanOrEqual(4);
});
