/** Bodies, streams and gRPC through two sidecars, and what ends them before their time. */
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOfCall } from '../identity/mtls/index.ts';
import { ask, startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';

const USER = 'u:AAAAAAAAAAAAAAAAAAAAAA';
const METHODS = { charge: [false, false], watch: [false, true], upload: [true, false], chat: [true, true] } as const;

let mesh: TestMesh;
let webApp: TestApp;
let grpcServer: grpc.Server;
let web: TestSidecar;
let rpc: TestSidecar;
let orders: TestSidecar;
let client: grpc.Client;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  mesh.tokens.set('user-token', { sub: USER, scope: 'orders:read payments:charge' });
  webApp = await startHttp1App(webHandler);
  const started = await startGrpcApp();
  grpcServer = started.server;
  const port = { listen: '127.0.0.1:0' };
  web = await mesh.sidecar('payments', {
    mesh: port,
    entry: port,
    app: { address: webApp.address, protocol: 'http1' },
  });
  rpc = await mesh.sidecar('payments', { mesh: port, app: { address: started.address, protocol: 'h2c' } });
  orders = await mesh.sidecar('orders', {
    peers: [
      { name: 'web', id: mesh.id('payments'), ...port, endpoints: [web.ready.mesh as string] },
      { name: 'rpc', id: mesh.id('payments'), ...port, endpoints: [rpc.ready.mesh as string] },
    ],
  });
  client = new grpc.Client(orders.ready.peers['rpc'] as string, grpc.credentials.createInsecure());
  await eventually(async () => expect((await ask(local(), { method: 'POST', path: '/charges' })).status).toBe(200));
  await eventually(async () => expect((await unary('ping')).toString()).toBe('ping'));
});

afterAll(async () => {
  client.close();
  await mesh.close();
  grpcServer.forceShutdown();
  await webApp.close();
});

function local(): string {
  return orders.ready.peers['web'] as string;
}

function webHandler(request: http.IncomingMessage, response: http.ServerResponse): void {
  if (request.url === '/any/slow') {
    response.write('first');
    return;
  }
  if (request.url === '/any/late') {
    setTimeout(() => response.end('late'), 1_600);
    return;
  }
  if (request.url === '/any/break') {
    response.write('half');
    setTimeout(() => request.socket.destroy(), 50);
    return;
  }
  if (request.url === '/any/trailers') {
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('body');
    response.addTrailers({ 'x-sum': '42' });
    response.end();
    return;
  }
  response.writeHead(200);
  request.pipe(response);
}

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };

async function startGrpcApp(): Promise<{ server: grpc.Server; address: string }> {
  const server = new grpc.Server();
  const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
  for (const [name, [requestStream, responseStream]] of Object.entries(METHODS)) {
    definition[name] = {
      path: `/shop.v1.Payments/${name}`,
      requestStream,
      responseStream,
      requestSerialize: bytes.serialize,
      requestDeserialize: bytes.deserialize,
      responseSerialize: bytes.serialize,
      responseDeserialize: bytes.deserialize,
    };
  }
  server.addService(definition, {
    charge(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      const text = call.request.toString();
      if (text === 'fail') done({ code: grpc.status.FAILED_PRECONDITION, details: 'no money' });
      else if (text === 'who') done(null, Buffer.from(String(call.metadata.get('delegation-subject')[0])));
      else done(null, call.request);
    },
    watch(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      const count = Number(call.request.toString());
      for (let i = 0; i < count; i += 1) call.write(Buffer.from(String(i)));
      if (count < 100) call.end();
    },
    upload(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      let size = 0;
      call.on('data', (chunk: Buffer) => {
        size += chunk.length;
      });
      call.on('end', () => done(null, Buffer.from(String(size))));
    },
    chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { server, address: `127.0.0.1:${port}` };
}

function unary(text: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      '/shop.v1.Payments/charge',
      bytes.serialize,
      bytes.deserialize,
      Buffer.from(text),
      (error, value) => (error === null ? resolve(value as Buffer) : reject(error)),
    );
  });
}

test('the four kinds of gRPC calls go through with their trailers', async () => {
  expect((await unary('hello')).toString()).toBe('hello');
  expect((await unary('who')).toString()).toBe(mesh.id('orders'));
  await expect(unary('fail')).rejects.toMatchObject({ code: grpc.status.FAILED_PRECONDITION, details: 'no money' });

  const down: string[] = [];
  const watch = client.makeServerStreamRequest(
    '/shop.v1.Payments/watch',
    bytes.serialize,
    bytes.deserialize,
    Buffer.from('5'),
  );
  for await (const value of watch) down.push(String(value));
  expect(down).toEqual(['0', '1', '2', '3', '4']);

  const size = await new Promise<string>((resolve, reject) => {
    const up = client.makeClientStreamRequest(
      '/shop.v1.Payments/upload',
      bytes.serialize,
      bytes.deserialize,
      (error, value) => (error === null ? resolve(String(value)) : reject(error)),
    );
    for (let i = 0; i < 100; i += 1) up.write(randomBytes(10_000));
    up.end();
  });
  expect(size).toBe('1000000');

  const chat = client.makeBidiStreamRequest('/shop.v1.Payments/chat', bytes.serialize, bytes.deserialize);
  const said: string[] = [];
  chat.write(Buffer.from('a'));
  for await (const value of chat) {
    said.push(String(value));
    if (said.length < 3) chat.write(Buffer.from(`b${said.length}`));
    else chat.end();
  }
  expect(said).toEqual(['a', 'b1', 'b2']);
  await eventually(() => {
    const statuses = mesh
      .hops()
      .filter(({ protocol }) => protocol === 'grpc')
      .map(({ grpcStatusPlusOne }) => grpcStatusPlusOne);
    expect(statuses).toContain(grpc.status.FAILED_PRECONDITION + 1);
  });
});

test('a gRPC refusal is a status with its code, and names the hop', async () => {
  const error = await new Promise<grpc.ServiceError>((resolve) => {
    const metadata = new grpc.Metadata();
    metadata.set('delegation-context', 'AAAAAAAAAAAAAAAAAAAAAA');
    client.makeUnaryRequest(
      '/shop.v1.Payments/charge',
      bytes.serialize,
      bytes.deserialize,
      Buffer.from('x'),
      metadata,
      (failed) => resolve(failed as grpc.ServiceError),
    );
  });
  expect(error.code).toBe(grpc.status.PERMISSION_DENIED);
  expect(error.details).toMatch(/^context_unknown:/);
  expect(errorOfCall(error)).toMatchObject({ code: 'context_unknown' });
});

test('a large body goes through unchanged, and a reader that stops holds its writer back', async () => {
  const body = randomBytes(8 * 1024 * 1024);
  const reply = await new Promise<Buffer>((resolve, reject) => {
    const [host, port] = local().split(':');
    const request = http.request({ host, port, method: 'POST', path: '/any/echo', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      // Not reading at first fills every buffer on the way.
      setTimeout(() => response.on('data', (chunk: Buffer) => chunks.push(chunk)), 100);
      response.on('end', () => resolve(Buffer.concat(chunks)));
    });
    request.on('error', reject);
    request.end(body);
  });
  expect(reply.equals(body)).toBe(true);
});

test('trailers of HTTP/1.1 go through, and an app that breaks off never looks finished', async () => {
  const trailers = await new Promise<NodeJS.Dict<string>>((resolve) => {
    const [host, port] = local().split(':');
    http.get({ host, port, path: '/any/trailers', agent: false }, (response) =>
      response.resume().on('end', () => resolve(response.trailers)),
    );
  });
  expect(trailers).toEqual({ 'x-sum': '42' });
  const broken = await ask(local(), { path: '/any/break' });
  expect(broken).toMatchObject({ status: 200, body: 'half', whole: false });
  await eventually(() =>
    expect(
      mesh.ends().filter(({ outcome, code }) => outcome === 'OUTCOME_FAILED' && code === 'upstream_unavailable').length,
    ).toBe(2),
  );
});

test('a call without an answer within a second is on record as going on, and closed at its end', async () => {
  const before = mesh.ends().length;
  const reply = await ask(local(), { path: '/any/late' });
  expect(reply).toMatchObject({ status: 200, body: 'late', whole: true });
  await eventually(() => expect(mesh.ends().length).toBe(before + 2));
  const [end] = mesh.ends().slice(before);
  const sides = mesh.hops().filter(({ hopId }) => hopId.equals(end?.hopId as Buffer));
  expect(sides.map(({ goesOn, httpStatus }) => [goesOn, httpStatus])).toEqual([
    [true, 0],
    [true, 0],
  ]);
  expect(end).toMatchObject({ outcome: 'OUTCOME_FORWARDED', code: '', bytesOut: 4 });
});

test('a client that goes away ends its call on both sides', async () => {
  const before = mesh.ends().length;
  const [host, port] = local().split(':');
  await new Promise<void>((resolve) => {
    const request = http.get({ host, port, path: '/any/slow', agent: false }, (response) => {
      response.once('data', () => {
        request.destroy();
        resolve();
      });
      response.on('error', () => undefined);
    });
    request.on('error', () => undefined);
  });
  await eventually(() =>
    expect(
      mesh
        .ends()
        .slice(before)
        .map(({ outcome }) => outcome),
    ).toEqual(['OUTCOME_FAILED', 'OUTCOME_FAILED']),
  );
});

test('a withdrawal ends a running HTTP/1.1 answer within a second, unfinished, and the record says why', async () => {
  const running = new Promise<{ whole: boolean; body: string; ms: number }>((resolve) => {
    const [host, port] = (web.ready.entry as string).split(':');
    const request = http.get(
      { host, port, path: '/any/slow', agent: false, headers: { authorization: 'Bearer user-token' } },
      (response) => {
        let body = '';
        response.on('data', (chunk) => {
          body += chunk;
          withdrawn = performance.now();
          mesh.revoke({ kind: 'consent', value: `consent-${USER}`, before: Math.floor(Date.now() / 1000) });
        });
        const done = (): void => resolve({ whole: response.complete, body, ms: performance.now() - withdrawn });
        response.on('end', done);
        response.on('error', done);
      },
    );
    request.on('error', () => undefined);
  });
  let withdrawn = 0;
  const { whole, body, ms } = await running;
  expect(body).toBe('first');
  expect(whole).toBe(false);
  expect(ms).toBeLessThan(1_000);
  await eventually(() =>
    expect(mesh.ends()).toContainEqual(
      expect.objectContaining({ outcome: 'OUTCOME_ENDED', code: 'consent_withdrawn', side: 'SIDE_ENTRY' }),
    ),
  );
  mesh.tokens.set('user-token', { sub: USER, scope: '', refuse: 'consent_withdrawn' });
  const after = await ask(web.ready.entry as string, {
    path: '/any/x',
    headers: { authorization: 'Bearer user-token' },
  });
  expect(JSON.parse(after.body)).toMatchObject({ code: 'delegation_refused' });
});

test('an HTTP/2 client of the app’s side sees a reset, not a clean end, when its call is ended', async () => {
  const before = mesh.hops().length;
  const session = http2.connect(`http://${local()}`);
  const stream = session.request({ ':path': '/any/slow' });
  const code = new Promise<number>((resolve) => {
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(stream.rstCode));
  });
  await new Promise((resolve) => stream.once('data', resolve));
  const ours = () =>
    mesh
      .hops()
      .slice(before)
      .find(({ carrier, goesOn }) => carrier === 'own' && goesOn);
  await eventually(() => expect(ours()).toBeDefined());
  mesh.revoke({ kind: 'txn', value: ours()?.txn as string, before: Math.floor(Date.now() / 1000) });
  expect(await code).toBe(http2.constants.NGHTTP2_CANCEL);
  session.destroy();
});

test('a revocation of the acting workload ends its gRPC stream with a status on both sides', async () => {
  const stream = client.makeServerStreamRequest(
    '/shop.v1.Payments/watch',
    bytes.serialize,
    bytes.deserialize,
    Buffer.from('100'),
  );
  const ended = new Promise<grpc.ServiceError>((resolve) =>
    stream.on('error', (error) => resolve(error as grpc.ServiceError)),
  );
  await new Promise((resolve) => stream.once('data', resolve));
  stream.on('data', () => undefined);
  mesh.revoke({ kind: 'sub', value: mesh.id('orders'), before: Math.floor(Date.now() / 1000) });
  const error = await ended;
  expect(error.code).toBe(grpc.status.PERMISSION_DENIED);
  expect(error.details).toMatch(/^delegation_revoked:/);
  await eventually(() => {
    const sides = mesh
      .ends()
      .filter(({ code }) => code === 'delegation_revoked')
      .map(({ side }) => side);
    expect(new Set(sides)).toEqual(new Set(['SIDE_CALLER', 'SIDE_CALLEE']));
  });
});
