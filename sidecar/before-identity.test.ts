/** An app that calls before its sidecar has an identity: it waits, for a bounded time, and is then told why. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveConfig, type SidecarConfig } from './config.ts';
import { type HeldPort, holdAppPorts } from './listen/held-port.ts';
import { runSidecar, startSidecar } from './start.ts';
import { ask, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const log = pino({ level: 'silent' });
const port = { listen: '127.0.0.1:0' };

let folder: string;
let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-before-'));
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  payments = await mesh.sidecar('payments', { mesh: port, app: { address: app.address, protocol: 'http1' } });
  writeFileSync(join(folder, 'bundle.json'), JSON.stringify(mesh.issuer.bundle().document));
});

afterAll(async () => {
  await mesh.close();
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

/** `orders`, which calls payments on its own authority from a port of its own and the shared one. */
function ordersConfig(change: Partial<SidecarConfig>): SidecarConfig {
  return {
    trust: {
      caAddress: '127.0.0.1:1',
      bundleFile: join(folder, 'bundle.json'),
      attest: { joinTokenFile: join(folder, 'token') },
    },
    dataDir: mkdtempSync(join(folder, 'orders-')),
    service: mesh.id('orders'),
    collectorAddress: mesh.collectorAddress,
    authorityAddress: mesh.authorityAddress,
    peers: [{ name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] }],
    ...change,
  };
}

test('calls that came before the identity go out when it is there', async () => {
  const config = ordersConfig({ shared: port });
  const held = await holdAppPorts(resolveConfig(config), { log });
  const address = held.peers[0]?.address as string;
  const early = [
    ask(address, { method: 'POST', path: '/charges', body: 'early' }),
    ask(held.shared?.address as string, { method: 'POST', path: '/charges', headers: { host: 'payments' } }),
    askH2(address),
  ];
  const stop = new AbortController();
  const identity = await mesh.issuer.issue(mesh.id('orders'));
  const { ready, closed } = await runSidecar(config, identity, { log, signal: stop.signal }, held);
  try {
    expect(ready.peers).toEqual({ payments: address });
    const replies = await Promise.all(early);
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(replies[0]?.body).toContain('early');
    expect((await ask(address, { method: 'POST', path: '/charges' })).status).toBe(200);
    expect(held.takeRefused()).toEqual([]);
  } finally {
    stop.abort();
    await closed;
  }
});

test('without an identity a call waits for its time and gets trust_unavailable, over HTTP/1.1 and HTTP/2', async () => {
  writeFileSync(join(folder, 'token'), 'no such token');
  const socketPath = join(folder, 'payments.sock');
  const config = ordersConfig({});
  const peers = config.peers?.map((peer) => ({ ...peer, listen: `unix:${socketPath}` })) ?? [];
  const stop = new AbortController();
  const starting = startSidecar({ ...config, peers }, { log, signal: stop.signal, holdMs: 300 });
  const failed = expect(starting).rejects.toMatchObject({ code: 'trust_unavailable' });
  await eventually(() => canConnect(socketPath));
  const beganMs = performance.now();
  const [reply, replyH2] = await Promise.all([askUnix(socketPath), askH2(socketPath)]);
  expect(performance.now() - beganMs).toBeGreaterThan(250);
  for (const { status, body } of [reply, replyH2]) {
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ code: 'trust_unavailable', status: 503 });
  }
  stop.abort();
  await failed;
  await expect(canConnect(socketPath)).rejects.toThrow();
});

test('what was refused before the identity is on record afterwards', async () => {
  const config = ordersConfig({});
  const held = await holdAppPorts(resolveConfig(config), { log, holdMs: 50 });
  const before = refusals();
  const { status } = await ask(held.peers[0]?.address as string, { method: 'POST', path: '/charges' });
  expect(status).toBe(503);
  const stop = new AbortController();
  const identity = await mesh.issuer.issue(mesh.id('orders'));
  const { closed } = await runSidecar(config, identity, { log, signal: stop.signal }, held);
  await eventually(() => expect(refusals()).toBe(before + 1));
  stop.abort();
  await closed;
});

test('a client that leaves while it is held costs nothing more', async () => {
  const held = await holdAppPorts(resolveConfig(ordersConfig({})), { log, holdMs: 100 });
  const [heldPort] = held.peers as [HeldPort];
  const [host, number] = heldPort.address.split(':');
  const socket = connect({ host: host as string, port: Number(number) });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.destroy();
  await eventually(() => connections(heldPort.server).then((count) => expect(count).toBe(0)));
  held.close();
});

function refusals(): number {
  return mesh.refusedConnections().filter(({ code, listener }) => code === 'trust_unavailable' && listener === 'local')
    .length;
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

function canConnect(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path }, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function askUnix(socketPath: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, path: '/charges', method: 'POST', agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** One request over HTTP/2 with prior knowledge, to `host:port` or a Unix socket. */
function askH2(address: string): Promise<Answer> {
  const [host, number] = address.split(':');
  const socket = address.startsWith('/')
    ? connect({ path: address })
    : connect({ host, port: Number(number) } as never);
  const session = http2.connect('http://payments', { createConnection: () => socket });
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({ ':path': '/charges', ':method': 'POST' }, { endStream: true });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (chunk) => {
      body += chunk;
    });
    stream.on('error', reject);
    stream.on('end', () => {
      resolve({ status, body });
      session.close();
    });
  });
}
