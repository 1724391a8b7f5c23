/** What a revocation of a certificate or workload does to connections: those that stand end, new ones are refused, both ways. */
import { once } from 'node:events';
import http from 'node:http';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { meshClientTlsOptions } from '../identity/mtls/index.ts';
import type { TestIdentity } from '../identity/testing/issuer.ts';
import { ask, startHttp1App, type TestApp } from './testing/apps.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let replica: TestSidecar;
let bad: TestSidecar;
let good: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App((request, response) => {
    if (request.url === '/any/slow') response.write('first');
    else response.end('done');
  });
  const port = { listen: '127.0.0.1:0' };
  const callee = () => mesh.sidecar('payments', { mesh: port, app: { address: app.address, protocol: 'http1' } });
  [payments, replica] = await Promise.all([callee(), callee()]);
  const caller = () =>
    mesh.sidecar('orders', {
      peers: [
        { name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] },
        { name: 'replica', id: mesh.id('payments'), ...port, endpoints: [replica.ready.mesh as string] },
      ],
    });
  [bad, good] = await Promise.all([caller(), caller()]);
  await vi.waitFor(
    async () => {
      for (const one of [bad, good])
        for (const name of ['payments', 'replica'])
          expect((await ask(portOf(one, name), { path: '/any/x' })).status).toBe(200);
    },
    { timeout: 5_000 },
  );
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

const portOf = (sidecar: TestSidecar, name = 'payments'): string => sidecar.ready.peers[name] as string;
const nowS = (): number => Math.floor(Date.now() / 1000);
const peerRefusals = () => mesh.refusedConnections().filter(({ code }) => code === 'peer_revoked');

/** A call whose answer never ends by itself. */
function openStream(address: string): Promise<{ ended: Promise<boolean> }> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, path: '/any/slow', agent: false }, (response) => {
      const ended = new Promise<boolean>((done) => {
        response.on('end', () => done(response.complete));
        response.on('error', () => done(false));
      });
      response.once('data', () => resolve({ ended }));
    });
    request.on('error', reject);
  });
}

/** A connection to a mesh port that only stands there. */
async function stand(identity: TestIdentity, alpn: string, session?: Buffer) {
  const [host, port] = (payments.ready.mesh as string).split(':');
  const options = { ...meshClientTlsOptions(identity), host, port: Number(port), ALPNProtocols: [alpn] };
  const socket = connect(session === undefined ? options : { ...options, session });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

test('a revoked caller’s streams and connections end, its new ones are refused, another replica’s go on', async () => {
  const { certificateS256 } = bad.identity.current();
  const [mine, theirs] = await Promise.all([openStream(portOf(bad)), openStream(portOf(good))]);
  const idle = await stand(bad.identity, 'behalf-h2/1');
  const gone = once(idle, 'close');
  let othersEnded = false;
  void theirs.ended.then(() => {
    othersEnded = true;
  });

  const revokedMs = performance.now();
  mesh.revoke({ kind: 'cert', value: certificateS256, before: nowS() }, 'ca');
  expect(await mine.ended).toBe(false);
  expect(performance.now() - revokedMs).toBeLessThan(1_000);
  idle.resume();
  await gone;
  // The holder learns of it too, and refuses by itself.
  await vi.waitFor(async () =>
    expect(JSON.parse((await ask(portOf(bad), { path: '/any/x' })).body)).toMatchObject({ code: 'delegation_revoked' }),
  );
  const again = await stand(bad.identity, 'http/1.1');
  again.write('GET /any/x HTTP/1.1\r\nHost: payments\r\n\r\n');
  const [answer] = (await once(again, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 401 /);
  expect(answer.toString()).toMatch(/delegation-error: peer_revoked/i);
  again.destroy();
  await vi.waitFor(() =>
    expect(peerRefusals()).toContainEqual(
      expect.objectContaining({ listener: 'mesh', peerSerial: Buffer.from(bad.identity.current().serialHex, 'hex') }),
    ),
  );
  expect((await ask(portOf(good), { path: '/any/x' })).status).toBe(200);
  expect(othersEnded).toBe(false);
});

test('a session from before is not resumed: a revoked peer is judged anew on every connection', async () => {
  const first = await stand(good.identity, 'http/1.1');
  const session = first.getSession();
  const ticket = await new Promise<Buffer>((resolve) => {
    first.once('session', resolve);
    first.write('GET /any/x HTTP/1.1\r\nHost: payments\r\n\r\n');
    first.resume();
  });
  first.destroy();
  expect(session).toBeDefined();
  const resumed = await stand(good.identity, 'http/1.1', ticket);
  expect(resumed.isSessionReused()).toBe(false);
  resumed.destroy();
});

test('a revoked callee is not called any more, and its connections end; the other replica still is', async () => {
  const stream = await openStream(portOf(good));
  mesh.revoke({ kind: 'cert', value: payments.identity.current().certificateS256, before: nowS() }, 'ca');
  expect(await stream.ended).toBe(false);
  await vi.waitFor(async () => {
    const { status, body } = await ask(portOf(good), { path: '/any/x' });
    expect([status, JSON.parse(body).code]).toEqual([401, 'peer_revoked']);
  });
  expect((await ask(portOf(good, 'replica'), { path: '/any/x' })).status).toBe(200);
});

test('a clean replacement lives, also where the whole workload was revoked', async () => {
  mesh.revoke({ kind: 'workload', value: mesh.id('orders'), before: nowS() }, 'ca');
  await vi.waitFor(async () =>
    expect(JSON.parse((await ask(portOf(good, 'replica'), { path: '/any/x' })).body)).toMatchObject({
      code: 'delegation_revoked',
    }),
  );
  await vi.waitFor(
    async () => {
      // What is issued in the same second is hit too.
      await good.identity.renew();
      expect((await ask(portOf(good, 'replica'), { path: '/any/x' })).status).toBe(200);
    },
    { timeout: 5_000, interval: 500 },
  );
});
