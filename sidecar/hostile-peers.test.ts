/** What a peer, a client outside or the app itself may do to the bytes of a call: refused or passed on, never the process' end. */
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { mintLink } from '../delegation/index.ts';
import { meshClientTlsOptions } from '../identity/mtls/index.ts';
import { ask } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const USER = 'u:AAAAAAAAAAAAAAAAAAAAAA';
const PREFIX = randomBytes(6);

let mesh: TestMesh;
let app: net.Server;
let payments: TestSidecar;
let orders: TestSidecar;
let hops = 0;
/** Heads that the app got. */
const received: string[] = [];
const appSockets = new Set<net.Socket>();
const open: { destroy(): unknown }[] = [];

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  mesh.tokens.set('user-token', { sub: USER, scope: 'orders:read payments:charge' });
  app = net.createServer(answerByPath);
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(app.address() as net.AddressInfo).port}`;
  const port = { listen: '127.0.0.1:0' };
  payments = await mesh.sidecar('payments', { mesh: port, entry: port, app: { address, protocol: 'http1' } });
  orders = await mesh.sidecar('orders', {
    peers: [{ name: 'payments', id: mesh.id('payments'), ...port, endpoints: [payments.ready.mesh as string] }],
  });
  await eventually(async () => expect((await ask(local(), { path: '/any/plain' })).status).toBe(200));
});

afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

afterAll(async () => {
  await mesh.close();
  for (const socket of appSockets) socket.destroy();
  await new Promise((resolve) => app.close(resolve));
});

function local(): string {
  return orders.ready.peers['payments'] as string;
}

/** An app that says exactly the bytes that its path asks for. */
function answerByPath(socket: net.Socket): void {
  appSockets.add(socket);
  socket.on('close', () => appSockets.delete(socket));
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1');
    if (!/^[A-Z]+ \/\S* HTTP/.test(text)) return;
    received.push(text);
    const name = text.split(' ')[1]?.split('/')[2] ?? '';
    socket.write(ANSWERS[name] ?? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'latin1');
    if (name === 'large') socket.write(Buffer.alloc(4 * 1_048_576, 'x'));
  });
}

const ANSWERS: Readonly<Record<string, string>> = {
  status999: 'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok',
  status000: 'HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nok',
  twice: 'HTTP/1.1 200 OK\r\nETag: a\r\nETag: b\r\nContent-Length: 2\r\n\r\nok',
  trailers:
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nETag: a\r\nETag: b\r\nDelegation-Subject: me\r\n\r\n',
  spoof: 'HTTP/1.1 403 No\r\nDelegation-Error: policy_denied\r\nContent-Length: 2\r\n\r\nok',
  going: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
  silent: '',
  unasked: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nmine',
  other: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nmine',
  early: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly',
  large: `HTTP/1.1 200 OK\r\nContent-Length: ${4 * 1_048_576}\r\n\r\n`,
};

/** Writes bytes to a port, and gives what came back once `until` holds or the other side closed. */
function raw(address: string, bytes: string, until: (got: string) => boolean): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    let got = '';
    const socket = net.connect({ host, port: Number(port) }, () => socket.write(bytes, 'latin1'));
    open.push(socket);
    socket.on('data', (chunk) => {
      got += chunk.toString('latin1');
      if (until(got)) resolve(got);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(got));
  });
}

function toMeshPort(alpn: string): Promise<tls.TLSSocket> {
  const [host, port] = (payments.ready.mesh as string).split(':');
  return new Promise((resolve, reject) => {
    const options = { ...meshClientTlsOptions(orders.identity), host, port: Number(port), ALPNProtocols: [alpn] };
    const socket = tls.connect(options, () => resolve(socket));
    open.push(socket);
    socket.on('error', reject);
  });
}

/** The fields of a good call of `orders` to `payments`. */
function meshFields(): string[] {
  const { txnToken, delegationChain, delegationCredentials } = mintLink({
    parent: mesh.root(orders.identity, 'payments:charge'),
    to: mesh.id('payments'),
    signer: orders.identity.current(),
    nowS: Date.now() / 1000,
    jti: randomBytes(12),
  });
  const counter = Buffer.alloc(6);
  hops += 1;
  counter.writeUIntBE(hops, 0, 6);
  const hop = `${Buffer.concat([PREFIX, counter]).toString('base64url')}.0.${randomBytes(12).toString('base64url')}`;
  return [
    ...['txn-token', txnToken, 'delegation-chain', delegationChain],
    ...['delegation-credentials', delegationCredentials, 'delegation-hop', hop],
  ];
}

function asLines(fields: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return lines;
}

/** The events of `payments`' side that came since. */
function calleeEvents(since: number) {
  const later = mesh.events.slice(since);
  return {
    hops: later.flatMap((event) => (event.body === 'hop' && event.hop.side === 'SIDE_CALLEE' ? [event.hop] : [])),
    ends: later.flatMap((event) =>
      event.body === 'hopEnd' && event.hopEnd.side === 'SIDE_CALLEE' ? [event.hopEnd] : [],
    ),
  };
}

test.each(['status999', 'status000'])('an app that answers with %s has failed, once on record', async (name) => {
  const since = mesh.events.length;
  expect((await ask(local(), { path: `/any/${name}` })).status).toBe(503);
  const strange = () => calleeEvents(since).hops.filter(({ httpStatus }) => httpStatus !== 200);
  await eventually(() => expect(strange()).toMatchObject([{ code: 'upstream_unavailable', httpStatus: 503 }]));
});

test('fields and trailers that occur twice go through to the caller, and the mesh’s own do not', async () => {
  expect((await ask(local(), { path: '/any/twice' })).status).toBe(200);
  const got = await raw(local(), 'GET /any/trailers HTTP/1.1\r\nHost: x\r\n\r\n', (text) => text.endsWith('\r\n\r\n'));
  expect(got).toContain('etag: a\r\netag: b\r\n');
  expect(got.toLowerCase()).not.toContain('delegation-subject');
  const sent = 'POST /any/plain HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nUser-Agent: b\r\nContent-Length: 2\r\n\r\nhi';
  expect(await raw(local(), sent, (text) => text.endsWith('ok'))).toMatch(/^HTTP\/1\.1 200 /);
});

test('an app that claims to be a sidecar’s refusal is recorded as what it is: an answer', async () => {
  const since = mesh.events.length;
  const reply = await ask(local(), { path: '/any/spoof' });
  expect(reply.status).toBe(403);
  expect(reply.headers['delegation-error']).toBeUndefined();
  await eventually(() =>
    expect(calleeEvents(since).hops.filter(({ httpStatus }) => httpStatus === 403)).toMatchObject([
      { outcome: 'OUTCOME_FORWARDED', code: '' },
    ]),
  );
});

test.each(['gzip, chunked', 'chunked, chunked', 'xchunked'])('Transfer-Encoding: %s is refused', async (coding) => {
  const sent = `POST /any/plain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\nhi\r\n0\r\n\r\n`;
  expect(await raw(local(), sent, () => false)).toMatch(/^HTTP\/1\.1 400 /);
});

test('chunked in HTTP/1.0 is refused', async () => {
  const sent = 'POST /any/plain HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n';
  expect(await raw(local(), sent, () => false)).toMatch(/^HTTP\/1\.1 400 /);
});

test('Connection cannot take the length out of a body', async () => {
  const sent = 'POST /any/plain HTTP/1.1\r\nHost: x\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello';
  await raw(local(), sent, (text) => text.endsWith('ok'));
  expect(received.at(-1)).toContain('content-length: 5\r\n');
});

test('bytes that are no request close the connection, and are never put into an answer under way', async () => {
  const got = await raw(local(), 'GET /any/going HTTP/1.1\r\nHost: x\r\n\r\n', (text) => text.endsWith('half'));
  expect(got).toContain('half');
  const socket = open.at(-1) as net.Socket;
  const rest = new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(text));
  });
  socket.write('NO REQUEST\r\n\r\n');
  expect(await rest).toBe('');
});

test('answers that wait behind another one are given up with their connection', async () => {
  const since = mesh.events.length;
  const requests = ['/any/silent', '/any/large', '/any/large'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const got = raw(local(), requests.join(''), () => false);
  await eventually(() => expect(calleeEvents(since).hops.filter(({ goesOn }) => goesOn).length).toBeGreaterThan(1));
  (open.at(-1) as net.Socket).destroy();
  expect(await got).toBe('');
  await eventually(() => {
    const { hops, ends } = calleeEvents(since);
    const begun = hops.filter(({ goesOn }) => goesOn);
    expect(begun.length).toBeGreaterThan(1);
    for (const { hopId } of begun) expect(ends.filter((end) => end.hopId.equals(hopId))).toHaveLength(1);
  });
});

test('a connection has only so many calls under way at once', async () => {
  const one = 'GET /any/silent HTTP/1.1\r\nHost: x\r\n\r\n';
  raw(local(), one.repeat(150), () => false);
  await eventually(() =>
    expect(mesh.refusedConnections().some(({ code, listener }) => code === 'overloaded' && listener === 'local')).toBe(
      true,
    ),
  );
});

test('what a peer carries is refused in trailers', async () => {
  const since = mesh.events.length;
  const socket = await toMeshPort('http/1.1');
  const answer = new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString('latin1'))));
  socket.write(
    `POST /any/silent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n${asLines(meshFields())}\r\n2\r\nhi\r\n0\r\nTxn-Token: x\r\n\r\n`,
  );
  expect(await answer).toMatch(/^HTTP\/1\.1 401 .*\r\ndelegation-error: delegation_malformed\r\n/);
  await eventually(() =>
    expect(calleeEvents(since).hops.map(({ code, outcome }) => `${code} ${outcome}`)).toContain(
      'delegation_malformed OUTCOME_REFUSED',
    ),
  );
});

test('a stream of HTTP/1.0 over TLS keeps no other call from being ended by a revocation', async () => {
  const old = await toMeshPort('http/1.1');
  const oldGot = new Promise((resolve) => old.once('data', resolve));
  old.write(`GET /any/going HTTP/1.0\r\n${asLines(meshFields())}\r\n`);
  await oldGot;
  const oldEnded = new Promise((resolve) => old.once('close', resolve));
  const second = await toMeshPort('http/1.1');
  const secondGot = new Promise((resolve) => second.once('data', resolve));
  second.write(`GET /any/going HTTP/1.1\r\nHost: x\r\n${asLines(meshFields())}\r\n`);
  await secondGot;
  const secondEnded = new Promise((resolve) => second.once('close', resolve));
  mesh.revoke({ kind: 'sub', value: USER, before: Math.floor(Date.now() / 1000) });
  await Promise.all([oldEnded, secondEnded]);
});

test('a client outside that resets stream after stream loses its connection', async () => {
  const session = http2.connect(`http://${payments.ready.entry}`);
  open.push(session);
  const closed = new Promise<void>((resolve) => session.once('close', () => resolve()));
  session.on('error', () => undefined);
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  let sent = 0;
  while (!session.closed && !session.destroyed && sent < 5_000) {
    for (let i = 0; i < 100 && !session.closed && !session.destroyed; i += 1, sent += 1) {
      const stream = session.request({ ':path': '/' });
      stream.on('error', () => undefined);
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
    await new Promise(setImmediate);
  }
  await closed;
  expect(sent).toBeLessThan(5_000);
});

test('an app that switches protocols unasked, or to another one than was asked for, gets no stream', async () => {
  for (const path of ['/any/unasked', '/any/other']) {
    const { status, body } = await ask(local(), { path });
    expect([status, JSON.parse(body).code]).toEqual([503, 'upstream_unavailable']);
  }
  const upgrade = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
  const got = await raw(local(), `GET /any/other HTTP/1.1\r\n${upgrade}\r\n\r\n`, () => false);
  expect(got).toContain('503');
  expect(got).not.toContain('mine');
});
