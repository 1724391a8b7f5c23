import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLoopback, readPorts } from './context.ts';
import { grpcUsesProxy, nodeUsesProxy } from './proxies.ts';

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const proto = grpc.loadPackageDefinition(loadSync(here('testdata/echo.proto')));
const Echo = (proto['echo'] as Record<string, grpc.ServiceClientConstructor>)['Echo'] as grpc.ServiceClientConstructor;

/** What an echo answers for a call without a handle. */
const NONE = 'none';

let relay: ChildProcess;
let ports: { http: number; http2: number; grpc: number; outside: string };
let environment: Record<string, string>;
let session: http2.ClientHttp2Session;
let grpcClient: grpc.Client;
const agent = new http.Agent({ keepAlive: true, maxSockets: 3 });
const servers: { close(): unknown }[] = [];

beforeAll(async () => {
  const echo = http.createServer((request, response) => {
    if (request.url === '/break') {
      request.socket.destroy();
      return;
    }
    if (request.url === '/away') {
      response.writeHead(302, { location: `http://0.0.0.0:${(echo.address() as AddressInfo).port}/` }).end();
      return;
    }
    response.end(request.headers['delegation-context'] ?? NONE);
  });
  const echo2 = http2.createServer((request, response) =>
    response.end(String(request.headers['delegation-context'] ?? NONE)),
  );
  const echoGrpc = new grpc.Server();
  echoGrpc.addService(Echo.service, {
    Relay: (call: grpc.ServerUnaryCall<unknown, unknown>, done: grpc.sendUnaryData<unknown>) =>
      done(null, { text: call.metadata.get('delegation-context').join('+') || NONE }),
  });
  const url = (server: http.Server | http2.Http2Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await Promise.all([once(echo.listen(0, '127.0.0.1'), 'listening'), once(echo2.listen(0, '127.0.0.1'), 'listening')]);
  const grpcPort = await new Promise<number>((resolve, reject) =>
    echoGrpc.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  servers.push(echo, echo2, { close: () => echoGrpc.forceShutdown() }, { close: () => echo.closeAllConnections() });
  // On this machine too, but no sidecar's.
  const other = http.createServer((request, response) => response.end(request.headers['delegation-context'] ?? NONE));
  const other2 = http2.createServer((request, response) =>
    response.end(String(request.headers['delegation-context'] ?? NONE)),
  );
  const socketFolder = mkdtempSync(join(tmpdir(), 'propagate-'));
  const otherSocket = http.createServer((request, response) =>
    response.end(request.headers['delegation-context'] ?? NONE),
  );
  await Promise.all([
    once(other.listen(0, '127.0.0.1'), 'listening'),
    once(other2.listen(0, '127.0.0.1'), 'listening'),
    once(otherSocket.listen(join(socketFolder, 's')), 'listening'),
  ]);
  servers.push(other, other2, otherSocket, { close: () => rmSync(socketFolder, { recursive: true, force: true }) });
  environment = {
    ECHO_HTTP: url(echo),
    ECHO_HTTP2: url(echo2),
    ECHO_GRPC: `127.0.0.1:${grpcPort}`,
    OTHER_HTTP: url(other),
    OTHER_HTTP2: new URL(url(other2)).port,
    OTHER_SOCKET: join(socketFolder, 's'),
    BEHALF_PORTS: [url(echo), url(echo2), `127.0.0.1:${grpcPort}`].join(','),
  };
  relay = fork(here('testdata/relay.ts'), {
    execArgv: ['--import', here('register.ts')],
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  for await (const line of createInterface({ input: relay.stdout as NodeJS.ReadableStream })) {
    ports = JSON.parse(line);
    break;
  }
  session = http2.connect(`http://127.0.0.1:${ports.http2}`);
  grpcClient = new Echo(`127.0.0.1:${ports.grpc}`, grpc.credentials.createInsecure());
});

afterAll(async () => {
  session?.destroy();
  grpcClient?.close();
  agent.destroy();
  relay?.disconnect();
  if (relay !== undefined) await once(relay, 'exit');
  for (const server of servers) server.close();
});

type Ask = (way: string, handle: string | null) => Promise<string>;

const askHttp: Ask = (way, handle) =>
  new Promise((resolve, reject) => {
    const headers = handle === null ? {} : { 'Delegation-Context': handle };
    const request = http.request({ port: ports.http, path: `/${way}`, method: 'POST', headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
    // The body comes later and in parts, so that its end is another event than the head.
    request.write('a');
    setImmediate(() => request.end('b'));
  });

const askHttp2: Ask = (way, handle) =>
  new Promise((resolve, reject) => {
    const headers = handle === null ? {} : { 'delegation-context': handle };
    const stream = session.request({ ':path': `/${way}`, ':method': 'POST', ...headers });
    let text = '';
    stream.on('data', (chunk) => {
      text += chunk;
    });
    stream.on('end', () => resolve(text)).on('error', reject);
    setImmediate(() => stream.end('b'));
  });

const askGrpc: Ask = (way, handle) =>
  new Promise((resolve, reject) => {
    const metadata = new grpc.Metadata();
    if (handle !== null) metadata.set('delegation-context', handle);
    const call = (grpcClient as unknown as Record<string, (...given: unknown[]) => void>)['Relay'] as (
      ...given: unknown[]
    ) => void;
    call.call(grpcClient, { text: way }, metadata, (error: Error | null, answer: { text: string }) =>
      error ? reject(error) : resolve(answer.text),
    );
  });

const WAYS = [
  'http',
  'fetch',
  'fetch-request',
  'http2',
  'grpc',
  'grpc-new',
  'chain',
  'retry',
  'timers',
  'promise-pool',
  'bound-queue',
  'bound-pool',
];
const ASKS: readonly (readonly [string, Ask])[] = [
  ['http', askHttp],
  ['http2', askHttp2],
  ['grpc', askGrpc],
];

for (const [server, ask] of ASKS) {
  test.each(WAYS)(`a request to a ${server} server hands its context on by %s`, async (way) => {
    const answer = await ask(way, `h-${server}-${way}`);
    expect(new Set(answer.split(' '))).toEqual(new Set([`h-${server}-${way}`]));
  });
}

test('six hundred interleaved requests over shared connections each hand on their own context, and none where they have none', async () => {
  const asked = Array.from({ length: 600 }, (_, i) => ({
    ask: ASKS[i % ASKS.length]![1],
    way: WAYS[Math.floor(Math.random() * WAYS.length)] as string,
    handle: i % 5 === 0 ? null : `handle-${i}`,
  }));
  let next = 0;
  const wrong: string[] = [];
  const worker = async () => {
    for (let one = asked[next++]; one !== undefined; one = asked[next++]) {
      const seen = new Set((await one.ask(one.way, one.handle)).split(' '));
      if (seen.size !== 1 || !seen.has(one.handle ?? NONE))
        wrong.push(`${one.way} ${one.handle}: ${[...seen].join(' ')}`);
    }
  };
  await Promise.all(Array.from({ length: 40 }, worker));
  expect(wrong).toEqual([]);
});

test('a header that the app sets itself stays', async () => {
  expect(await askHttp('own', 'theirs')).toBe('own');
  expect(await askHttp('own-fetch', 'theirs')).toBe('own');
});

test('an answer that the app does not listen for frees its connection, as without the hook', async () => {
  expect(await askHttp('unheard', 'theirs')).toBe('theirs');
}, 4_000);

test.each(['elsewhere-port', 'elsewhere-port-host', 'elsewhere-port-fetch', 'elsewhere-socket', 'elsewhere-http2'])(
  'a handle goes to no other program on this machine: %s',
  async (way) => {
    expect(await askHttp(way, 'secret')).toBe(NONE);
  },
);

test('a CommonJS app in a worker thread hands its context on', async () => {
  expect(await askOnce('testdata/worker.cjs', environment)).toBe('from-worker');
});

test('without BEHALF_PORTS nothing is copied, and a warning says so', async () => {
  const warned: string[] = [];
  const { BEHALF_PORTS: _, ...without } = environment;
  expect(await askOnce('testdata/worker.cjs', without, (line) => warned.push(line))).toBe(NONE);
  expect(warned.join()).toContain('BEHALF_NO_PORTS');
});

test('no handle is shown to a proxy of the environment', async () => {
  const proxied = { NODE_USE_ENV_PROXY: '1', http_proxy: environment['OTHER_HTTP'] as string };
  expect(await askOnce('testdata/worker.cjs', { ...environment, ...proxied })).toBe(NONE);
  const exempt = { ...environment, ...proxied, no_proxy: '127.0.0.1' };
  expect(await askOnce('testdata/worker.cjs', exempt)).toBe('from-worker');
});

test('a proxy counts where the library heeds it and nothing exempts the host by name', () => {
  const on = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://proxy' };
  expect(nodeUsesProxy('127.0.0.1', on, [])).toBe(true);
  expect(nodeUsesProxy('127.0.0.1', { HTTP_PROXY: 'http://proxy' }, [])).toBe(false);
  expect(nodeUsesProxy('127.0.0.1', { HTTP_PROXY: 'http://proxy' }, ['--use-env-proxy'])).toBe(true);
  expect(nodeUsesProxy('127.0.0.1', { ...on, NO_PROXY: 'localhost, 127.0.0.1' }, [])).toBe(false);
  expect(nodeUsesProxy('127.0.0.1', { ...on, NO_PROXY: '127.0.0.0/8' }, [])).toBe(true);
  expect(grpcUsesProxy('127.0.0.1', { http_proxy: 'http://proxy' })).toBe(true);
  expect(grpcUsesProxy('127.0.0.1', { http_proxy: 'http://proxy', no_proxy: '*' })).toBe(false);
  expect(grpcUsesProxy('127.0.0.1', {})).toBe(false);
});

/** Starts an app under the hook, asks it once. */
async function askOnce(
  file: string,
  env: Record<string, string>,
  onError: (line: string) => void = () => undefined,
): Promise<string> {
  const app = fork(here(file), {
    execArgv: ['--import', here('register.ts')],
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  app.stderr?.on('data', (chunk) => onError(String(chunk)));
  const exited = once(app, 'exit');
  try {
    for await (const line of createInterface({ input: app.stdout as NodeJS.ReadableStream })) {
      const { port } = JSON.parse(line) as { port: number };
      const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'Delegation-Context': 'from-worker' } });
      return await answer.text();
    }
    throw new Error('the app said nothing');
  } finally {
    app.disconnect();
    await exited;
  }
}

test('the list of ports takes numbers, addresses and URLs, and nothing else', () => {
  expect([...readPorts('9101, 127.0.0.1:9102,http://127.0.0.1:9103/,[::1]:9104')]).toEqual([9101, 9102, 9103, 9104]);
  expect([...readPorts('0,65536,x,127.0.0.1,,-1')]).toEqual([]);
});

test('a handle goes to this machine alone, also when a redirect leads away', async () => {
  expect(await askHttp('elsewhere-http', 'secret')).toBe(NONE);
  expect(await askHttp('elsewhere-redirect', 'secret')).toBe(NONE);
});

test('work of no request carries no context', () => {
  expect(ports.outside).toBe(NONE);
});

test('loopback is localhost, 127.0.0.0/8 and ::1, and nothing that looks like it', () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'a.localhost',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
  ]) {
    expect(isLoopback(host), host).toBe(true);
  }
  for (const host of [
    '',
    '127.0.0.1.example',
    '128.0.0.1',
    '0.0.0.0',
    'localhost.example',
    '::2',
    '10.0.0.1',
    'xlocalhost',
  ]) {
    expect(isLoopback(host), host).toBe(false);
  }
});
