/** WebSockets through two sidecars, with real clients and servers on both ends, and what must not come through. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const USER = 'u:AAAAAAAAAAAAAAAAAAAAAA';
const BEARER = { authorization: 'Bearer user-token' };

let mesh: TestMesh;
let app: http.Server;
let servers: WebSocketServer;
let payments: TestSidecar;
let orders: TestSidecar;
/** What the app's own HTTP handler was asked: nothing of a stream may end up there. */
const asked: string[] = [];
/** How the app's ends of the streams ended. */
const ends: [code: number, reason: string][] = [];
/** Heads of upgrades that the app saw. */
const upgrades: http.IncomingMessage[] = [];

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  mesh.tokens.set('user-token', { sub: USER, scope: 'orders:read payments:charge' });
  app = http.createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end('plain');
  });
  servers = new WebSocketServer({
    noServer: true,
    perMessageDeflate: true,
    handleProtocols: (protocols) => (protocols.has('notes.v2') ? 'notes.v2' : false),
  });
  app.on('upgrade', (request, socket, early) => {
    upgrades.push(request);
    if (request.url === '/any/refused') {
      socket.end('HTTP/1.1 409 Conflict\r\ncontent-length: 4\r\n\r\nbusy');
      return;
    }
    if (request.url === '/any/plain') {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      return;
    }
    if (request.url === '/any/unasked') return;
    servers.handleUpgrade(request, socket, early, (ws) => {
      ws.on('close', (code, reason) => ends.push([code, reason.toString()]));
      ws.on('error', () => undefined);
      if (request.url === '/any/flood') {
        flood(ws);
        return;
      }
      ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
    });
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  const port = { listen: '127.0.0.1:0' };
  payments = await mesh.sidecar('payments', {
    mesh: port,
    entry: port,
    app: { address: `127.0.0.1:${(app.address() as AddressInfo).port}`, protocol: 'http1' },
  });
  orders = await mesh.sidecar('orders', {
    peers: [{ name: 'web', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] }],
  });
  await eventually(async () => expect((await fetch(`http://${local()}/any/x`)).status).toBe(200));
});

afterAll(async () => {
  await mesh.close();
  servers.close();
  for (const ws of servers.clients) ws.terminate();
  app.closeAllConnections();
  app.close();
});

const local = (): string => orders.ready.peers['web'] as string;

/** Bytes that the flooding app has got rid of. */
let flooded = 0;
function flood(ws: WebSocket): void {
  const chunk = randomBytes(65_536);
  const more = (error?: Error | null): void => {
    if (error instanceof Error || flooded > 512 * 1_048_576) return;
    flooded += chunk.length;
    ws.send(chunk, { compress: false }, more);
  };
  more();
}

async function open(address: string, path: string, options: WebSocket.ClientOptions = {}, protocols: string[] = []) {
  const ws = new WebSocket(`ws://${address}${path}`, protocols, options);
  ws.on('error', () => undefined);
  await once(ws, 'open');
  return ws;
}

function closing(ws: WebSocket): Promise<[number, string]> {
  return new Promise((resolve) => ws.on('close', (code, reason) => resolve([code, reason.toString()])));
}

test('messages small and large, pings, a subprotocol and compression go through both ways', async () => {
  const ws = await open(local(), '/any/echo', { perMessageDeflate: { threshold: 0 } }, ['notes.v1', 'notes.v2']);
  expect(ws.protocol).toBe('notes.v2');
  expect(ws.extensions).toContain('permessage-deflate');
  ws.send('hello');
  expect(String((await once(ws, 'message'))[0])).toBe('hello');
  const large = randomBytes(4 * 1_048_576);
  ws.send(large);
  expect(large.equals((await once(ws, 'message'))[0] as Buffer)).toBe(true);
  ws.ping('are you there');
  expect(String((await once(ws, 'pong'))[0])).toBe('are you there');
  const closed = closing(ws);
  ws.close(1000, 'done');
  expect(await closed).toEqual([1000, 'done']);
  await eventually(() => expect(ends).toContainEqual([1000, 'done']));
  const opened = mesh.hops().filter(({ protocol }) => protocol === 'websocket');
  expect(opened.map(({ httpStatus, goesOn, method, route }) => [httpStatus, goesOn, method, route])).toContainEqual([
    101,
    true,
    'GET',
    '* /any/{+rest}',
  ]);
  await eventually(() => {
    const sides = mesh.ends().filter(({ hopId }) => opened.some((hop) => hop.hopId.equals(hopId)));
    expect(sides.map(({ outcome }) => outcome)).toEqual(['OUTCOME_FORWARDED', 'OUTCOME_FORWARDED']);
    for (const { bytesIn, bytesOut } of sides) expect(Math.min(bytesIn, bytesOut)).toBeGreaterThan(large.length / 2);
  });
  const seen = upgrades.at(-1)?.headers ?? {};
  expect(seen['delegation-subject']).toBe(mesh.id('orders'));
  expect(Object.keys(seen).filter((name) => name.startsWith('txn') || name === 'delegation-chain')).toEqual([]);
});

test('a reader that stops holds the writer back', async () => {
  const ws = await open(local(), '/any/flood');
  ws.pause();
  let before = -1;
  let still = 0;
  await eventually(() => {
    still = before === flooded && flooded > 0 ? still + 1 : 0;
    before = flooded;
    expect(still).toBeGreaterThan(10);
  });
  expect(flooded).toBeLessThan(64 * 1_048_576);
  ws.resume();
  await eventually(() => expect(flooded).toBeGreaterThan(before + 1_048_576));
  ws.terminate();
});

test('what the app or a sidecar refuses is an HTTP answer', async () => {
  for (const [address, path, status, body] of [
    [local(), '/any/refused', 409, 'busy'],
    [local(), '/nowhere', 403, 'route_unknown'],
    [payments.ready.entry as string, '/any/echo', 401, 'delegation_missing'],
  ] as const) {
    const ws = new WebSocket(`ws://${address}${path}`);
    ws.on('error', () => undefined);
    const [, response] = (await once(ws, 'unexpected-response')) as [http.ClientRequest, http.IncomingMessage];
    expect(response.statusCode).toBe(status);
    expect(await text(response)).toContain(body);
  }
});

test('an answer that neither grants nor refuses is not taken for a stream', async () => {
  const ws = new WebSocket(`ws://${local()}/any/plain`);
  ws.on('error', () => undefined);
  const [, response] = (await once(ws, 'unexpected-response')) as [http.ClientRequest, http.IncomingMessage];
  expect(response.statusCode).toBe(503);
});

test('bytes before the answer are the stream’s or nobody’s, never a second request', async () => {
  const smuggled = 'GET /any/smuggled HTTP/1.1\r\nhost: x\r\n\r\n';
  const said = await rawly(`${upgrade('/any/refused')}${smuggled}`);
  expect(said).toContain('409');
  expect(said.match(/HTTP\/1\.1/g)).toHaveLength(1);
  const switched = await rawly(`${upgrade('/any/echo')}${smuggled}`);
  expect(switched).toContain('101 Switching Protocols');
  expect(switched.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect(asked).not.toContain('/any/smuggled');
});

test('an upgrade with a body, or behind a request that is not answered, is refused', async () => {
  const before = upgrades.length;
  expect(await rawly(upgrade('/any/echo', 'content-length: 5\r\n'))).toContain('400');
  expect(await rawly(upgrade('/any/echo', 'transfer-encoding: chunked\r\n'))).toContain('400');
  const piped = await rawly(`GET /any/first HTTP/1.1\r\nhost: x\r\n\r\n${upgrade('/any/echo')}`);
  expect(piped).not.toContain('101');
  expect(upgrades.length).toBe(before);
});

test('another protocol than websocket is not switched to: the request goes on as a plain one', async () => {
  const said = await rawly('GET /any/h2c HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, close\r\nupgrade: h2c\r\n\r\n');
  expect(said).toContain('200 OK');
  expect(asked).toContain('/any/h2c');
});

test('an HTTP/2 client speaks by extended CONNECT, and Upgrade fields in HTTP/2 reach no app', async () => {
  const session = http2.connect(`http://${local()}`);
  session.on('error', () => undefined);
  await once(session, 'remoteSettings');
  const stream = session.request(
    { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/any/echo', 'sec-websocket-version': '13' },
    { endStream: false },
  );
  const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  expect(head[':status']).toBe(200);
  stream.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
  expect((await once(stream, 'data'))[0]).toEqual(Buffer.from([0x81, 2, 0x68, 0x69]));
  stream.close();
  for (const fields of [
    { ':method': 'CONNECT', ':protocol': 'connect-udp', ':path': '/any/echo' },
    { ':method': 'GET', ':path': '/any/echo', ':protocol': 'websocket' },
  ]) {
    const odd = session.request(fields, { endStream: false });
    odd.on('error', () => undefined);
    const status = await new Promise((resolve) => {
      odd.on('response', (answered) => resolve(answered[':status']));
      odd.on('close', () => resolve(odd.rstCode));
    });
    expect(status).not.toBe(200);
    odd.close();
  }
  session.destroy();
});

test('an app that speaks HTTP/2 answers a client that speaks HTTP/1.1, which gets its key answered', async () => {
  const h2c = http2.createServer({ settings: { enableConnectProtocol: true } });
  h2c.on('stream', (stream: http2.ServerHttp2Stream, head) => {
    stream.on('error', () => undefined);
    if (head[':method'] === 'CONNECT' && head[':protocol'] === 'websocket') {
      stream.respond({ ':status': 200 });
      stream.write(Buffer.from([0x81, 2, 0x68, 0x69]));
      stream.resume();
    } else {
      stream.respond({ ':status': 404 }, { endStream: true });
    }
  });
  await new Promise<void>((resolve) => h2c.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(h2c.address() as AddressInfo).port}`;
  const port = { listen: '127.0.0.1:0' };
  const callee = await mesh.sidecar('payments', { mesh: port, app: { address, protocol: 'h2c' } });
  const caller = await mesh.sidecar('orders', {
    peers: [{ name: 'h2c', id: mesh.id('payments'), ...port, endpoints: [callee.ready.mesh as string] }],
  });
  const at = caller.ready.peers['h2c'] as string;
  await eventually(async () => expect((await fetch(`http://${at}/any/x`)).status).toBe(404));
  const ws = new WebSocket(`ws://${at}/any/socket`);
  ws.on('error', () => undefined);
  expect(String((await once(ws, 'message'))[0])).toBe('hi');
  ws.terminate();
  await caller.stop();
  await callee.stop();
  h2c.close();
});

test('a withdrawal ends it at both ends with 1008 and the code, and the record says why', async () => {
  const ws = await open(payments.ready.entry as string, '/any/echo', { headers: BEARER });
  ws.send('one');
  await once(ws, 'message');
  const closed = closing(ws);
  mesh.revoke({ kind: 'consent', value: `consent-${USER}`, before: Math.floor(Date.now() / 1000) });
  expect(await closed).toEqual([1008, 'consent_withdrawn']);
  await eventually(() => expect(ends).toContainEqual([1008, 'consent_withdrawn']));
  await eventually(() =>
    expect(mesh.ends()).toContainEqual(
      expect.objectContaining({ outcome: 'OUTCOME_ENDED', code: 'consent_withdrawn', side: 'SIDE_ENTRY' }),
    ),
  );
});

test('in the middle of a frame, or with a reader that does not read, it is broken off', async () => {
  const socket = net.connect(Number(local().split(':')[1]), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(upgrade('/any/flood'));
  await once(socket, 'data');
  socket.pause();
  const idle = await open(local(), '/any/echo');
  const idleEnd = closing(idle);
  mesh.revoke({ kind: 'sub', value: mesh.id('orders'), before: Math.floor(Date.now() / 1000) });
  expect(await idleEnd).toEqual([1008, 'delegation_revoked']);
  // Its own side of the flooded stream is closed although its client reads nothing.
  await eventually(() => {
    const open = mesh.hops().filter(({ protocol, goesOn }) => protocol === 'websocket' && goesOn);
    const closed = mesh.ends().map(({ hopId, side }) => `${hopId.toString('hex')} ${side}`);
    for (const { hopId, side } of open) expect(closed).toContain(`${hopId.toString('hex')} ${side}`);
  });
  await eventually(() => expect(servers.clients.size).toBe(0));
  socket.destroy();
});

function upgrade(path: string, more = ''): string {
  return `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
}

/** Sends bytes; gives all that comes back until the end, or until nothing has come for a while. */
async function rawly(bytes: string): Promise<string> {
  const socket = net.connect(Number(local().split(':')[1]), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.write(bytes);
  socket.setTimeout(1_500, () => socket.destroy());
  await new Promise((resolve) => socket.on('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}
