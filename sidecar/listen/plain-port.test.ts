/** The app's own ports: what they speak, what is ambiguous and refused (RFC 9112), and who may not use them. */
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Echo, startHttp1App, type TestApp } from '../testing/apps.ts';
import { eventually } from '../testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from '../testing/mesh.ts';
import { shopSnapshot } from '../testing/shop.ts';

const dev = { mode: 'mtls', devMode: true } as const;
const port = { listen: '127.0.0.1:0' };
/** No process of a test runs under it. */
const NOBODY_HERE = 4_294_900_000;

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let orders: TestSidecar;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  payments = await mesh.sidecar('payments', { ...dev, mesh: port, app: { address: app.address, protocol: 'http1' } });
  orders = await mesh.sidecar('orders', { ...dev, shared: port, peers: [peer()] });
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

function peer() {
  return { name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] };
}

/** Sends bytes as they are and gives all that comes back until the connection ends or falls silent. */
function raw(text: string, at = orders.ready.peers['payments'] as string): Promise<string> {
  const [host, number] = at.split(':');
  return new Promise((resolve) => {
    let all = '';
    const socket = connect({ host, port: Number(number) }, () => socket.write(text));
    socket.on('data', (chunk) => {
      all += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(all));
    socket.setTimeout(2_000, () => socket.destroy());
  });
}

const AMBIGUOUS: Record<string, string> = {
  'both Content-Length and Transfer-Encoding':
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two different Content-Lengths': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
  'two Host fields': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'no Host': 'GET / HTTP/1.1\r\n\r\n',
  'a space before the colon': 'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
  'a folded field': 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n',
  'bare line feeds': 'GET / HTTP/1.1\nHost: a\n\n',
  'a chunk size with sign': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
  'another last transfer coding': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  'more fields than the limit': `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(101)}\r\n`,
  'a head over 16 KiB': `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`,
  'a target in authority form': 'GET example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n',
};

for (const [what, bytes] of Object.entries(AMBIGUOUS)) {
  test(`${what}: 400 and the connection closed, and on record`, async () => {
    const before = mesh.refusedConnections().length;
    const reply = await raw(bytes);
    expect(reply).toMatch(/^HTTP\/1\.1 400 /);
    expect(reply.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(reply).toContain('"code":"request_malformed"');
    await eventually(() => expect(mesh.refusedConnections().length).toBeGreaterThan(before));
  });
}

test('HTTP/1.1 with keep-alive and pipelining gets its answers in order', async () => {
  const one = (path: string, last = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${last}\r\n`;
  const reply = await raw(one('/1') + one('/2') + one('/3', 'Connection: close\r\n'));
  expect([...reply.matchAll(/"url":"(\/\d)"/g)].map((found) => found[1])).toEqual(['/1', '/2', '/3']);
});

test('hop-by-hop fields do not pass, and those that Connection names neither', async () => {
  const reply = await ask(orders.ready.peers['payments'] as string, {
    headers: {
      connection: 'x-private, keep-alive',
      'x-private': '1',
      'keep-alive': 'timeout=5',
      'proxy-connection': 'x',
      te: 'gzip',
      'x-kept': '1',
    },
  });
  const { headers } = JSON.parse(reply.body) as Echo;
  expect(headers['x-kept']).toBe('1');
  for (const name of ['x-private', 'keep-alive', 'proxy-connection', 'te']) expect(headers[name]).toBeUndefined();
});

test('the absolute form goes where its authority says, whatever Host says', async () => {
  const reply = await raw(
    'GET http://payments/p?q=1 HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n',
    orders.ready.shared as string,
  );
  expect(reply).toMatch(/^HTTP\/1\.1 200 /);
  expect(reply).toContain('"url":"/p?q=1"');
});

test('HTTP/2 with prior knowledge goes through the same port, many streams at once', async () => {
  const session = http2.connect(`http://${orders.ready.peers['payments']}`);
  const urls = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const stream = session.request({ ':method': 'POST', ':path': `/${i}` });
      stream.end('body');
      let text = '';
      for await (const chunk of stream) text += chunk;
      return (JSON.parse(text) as Echo).url;
    }),
  );
  expect(urls).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
  session.close();
});

test('curl is served over HTTP/1.1 and over HTTP/2', async () => {
  const run = promisify(execFile);
  for (const version of ['--http1.1', '--http2-prior-knowledge']) {
    const { stdout } = await run('curl', ['-sS', version, '-d', 'hi', `http://${orders.ready.peers['payments']}/c`]);
    expect(JSON.parse(stdout)).toMatchObject({ method: 'POST', body: 'hi' });
  }
});

test('a process of another uid is refused with local_peer_refused over both protocols, and is on record', async () => {
  const guarded = await mesh.sidecar('orders', { ...dev, allowedUid: NOBODY_HERE, peers: [peer()] });
  const at = guarded.ready.peers['payments'] as string;
  const before = mesh.refusedConnections().length;
  const reply = await ask(at);
  expect(reply.status).toBe(403);
  expect(JSON.parse(reply.body)).toMatchObject({ code: 'local_peer_refused' });
  const session = http2.connect(`http://${at}`);
  const stream = session.request({ ':path': '/' });
  const status = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
  expect(status).toBe(403);
  session.destroy();
  await eventually(() =>
    expect(
      mesh
        .refusedConnections()
        .slice(before)
        .map(({ code, listener }) => [code, listener]),
    ).toEqual([
      ['local_peer_refused', 'local'],
      ['local_peer_refused', 'local'],
    ]),
  );
});

test('an app that is down is upstream_unavailable on both sides of the record, not a refusal', async () => {
  const dead = await mesh.sidecar('inventory', {
    ...dev,
    mesh: port,
    app: { address: '127.0.0.1:1', protocol: 'http1' },
  });
  const caller = await mesh.sidecar('orders', {
    ...dev,
    peers: [{ name: 'inventory', id: mesh.id('inventory'), ...port, endpoints: [dead.ready.mesh as string] }],
  });
  const reply = await ask(caller.ready.peers['inventory'] as string);
  expect(reply.status).toBe(503);
  expect(JSON.parse(reply.body)).toMatchObject({ code: 'upstream_unavailable' });
  await eventually(() => {
    const sides = mesh.hops().filter(({ callee }) => callee === mesh.id('inventory'));
    expect(sides.map(({ code }) => code)).toEqual(['upstream_unavailable', 'upstream_unavailable']);
  });
});

test('a peer that proves another identity than expected gets nothing', async () => {
  const caller = await mesh.sidecar('orders', {
    ...dev,
    peers: [{ name: 'inventory', id: mesh.id('inventory'), ...port, endpoints: [payments.ready.mesh as string] }],
  });
  const reply = await ask(caller.ready.peers['inventory'] as string);
  expect(reply.status).toBe(401);
  expect(JSON.parse(reply.body)).toMatchObject({ code: 'peer_untrusted' });
});
