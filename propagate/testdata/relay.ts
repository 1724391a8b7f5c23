/**
 * An ordinary app for the hook's tests: relays each request to the echo servers that its environment names, by the client
 * that the request names, and answers what they saw. Nothing in it knows of contexts, but `own` and `forget`.
 */
import { AsyncResource } from 'node:async_hooks';
import http from 'node:http';
import http2 from 'node:http2';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const { ECHO_HTTP = '', ECHO_HTTP2 = '', ECHO_GRPC = '', OTHER_HTTP = '', OTHER_SOCKET = '' } = process.env;
const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
const proto = grpc.loadPackageDefinition(loadSync(new URL('echo.proto', import.meta.url).pathname));
const Echo = (proto['echo'] as Record<string, grpc.ServiceClientConstructor>)['Echo'] as grpc.ServiceClientConstructor;
const shared2 = http2.connect(ECHO_HTTP2);
let shared = new Echo(ECHO_GRPC, grpc.credentials.createInsecure());

type Relay = (client: grpc.Client, ask: { text: string }, done: (error: Error | null, answer: { text: string }) => void) => void;
const callEcho: Relay = (client, ask, done) => (client as unknown as Record<string, Function>)['Relay']!(ask, done);

function viaHttp(options: http.RequestOptions, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(path, ECHO_HTTP), { agent, method: 'POST', ...options }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text));
    });
    request.on('error', reject).end();
  });
}

function viaHttp2(session = shared2): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/' });
    let text = '';
    stream.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text)).on('error', reject);
    if (session !== shared2) stream.on('close', () => session.destroy());
  });
}

function viaGrpc(client: grpc.Client): Promise<string> {
  return new Promise((resolve, reject) => callEcho(client, { text: '' }, (error, { text } = { text: '' }) => (error ? reject(error) : resolve(text))));
}

type Job = () => void;
/** One queue for all requests, emptied by whoever comes by. */
const queued: Job[] = [];
function drain(): void {
  for (let job = queued.shift(); job !== undefined; job = queued.shift()) job();
}
/** A pool of two that a hand might roll: who gives a place back calls who waits. */
let free = 2;
const waiting: Job[] = [];
const acquire = (then: Job): void => (free > 0 ? (free--, then()) : void waiting.push(then));
const release = (): void => {
  const next = waiting.shift();
  if (next === undefined) free++;
  else next();
};
/** A pool of two by promises. */
let last: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const done = (last.shift() as Promise<unknown>).then(work, work);
  last.push(done);
  return done;
}

/** Each way answers the handles that its calls carried, separated by spaces. */
const WAYS: Record<string, () => Promise<string>> = {
  http: () => viaHttp({}),
  fetch: async () => (await fetch(ECHO_HTTP)).text(),
  'fetch-request': async () => (await fetch(new Request(ECHO_HTTP, { headers: { 'x-a': '1' } }), { method: 'PUT' })).text(),
  http2: () => viaHttp2(),
  grpc: () => viaGrpc(shared),
  'grpc-new': async () => {
    shared = new Echo(ECHO_GRPC, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    return viaGrpc(shared);
  },
  /** Callbacks of one client start the next call. */
  chain: () =>
    new Promise((resolve, reject) => {
      callEcho(shared, { text: '' }, (error, first) => {
        if (error) return reject(error);
        const stream = shared2.request({ ':path': '/' });
        let second = '';
        stream.on('data', (chunk) => (second += chunk));
        stream.on('end', () => viaHttp({}).then((third) => resolve(`${first.text} ${second} ${third}`), reject));
      });
    }),
  /** A kept-alive connection breaks under a request that did not open it; the error's listener tries again. */
  retry: () =>
    new Promise((resolve, reject) => {
      const request = http.get(new URL('/break', ECHO_HTTP), { agent }, () => reject(new Error('answered')));
      request.on('error', () => viaHttp({}).then(resolve, reject));
    }),
  /** Nobody listens for the first answer; its connection has to come free for the second. */
  unheard: () => {
    const one = new http.Agent({ keepAlive: true, maxSockets: 1 });
    http.request(new URL(ECHO_HTTP), { agent: one }).end();
    return viaHttp({ agent: one }).finally(() => one.destroy());
  },
  timers: async () => {
    await new Promise<void>((resolve) => setTimeout(() => queueMicrotask(() => process.nextTick(() => setImmediate(resolve))), 1));
    return viaHttp({});
  },
  'promise-pool': () => inTurn(async () => (await turn(), viaHttp({}))),
  'bound-queue': () =>
    new Promise((resolve, reject) => {
      queued.push(AsyncResource.bind(() => void viaHttp({}).then(resolve, reject)));
      setTimeout(drain, Math.random() * 5);
    }),
  'bound-pool': () =>
    new Promise((resolve, reject) => {
      acquire(AsyncResource.bind(() => void viaHttp({}).finally(release).then(resolve, reject)));
    }),
  own: () => viaHttp({ headers: { 'Delegation-Context': 'own' } }),
  'own-fetch': async () => (await fetch(ECHO_HTTP, { headers: { 'DELEGATION-CONTEXT': 'own' } })).text(),
  'elsewhere-http': () =>
    viaHttp({ lookup: (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }] as never), host: 'echo.test' }, `http://echo.test:${new URL(ECHO_HTTP).port}/`),
  'elsewhere-port': () => viaHttp({}, OTHER_HTTP),
  'elsewhere-port-host': () => viaHttp({ headers: { Host: new URL(ECHO_HTTP).host } }, OTHER_HTTP),
  'elsewhere-port-fetch': async () => (await fetch(OTHER_HTTP)).text(),
  'elsewhere-socket': () => viaHttp({ socketPath: OTHER_SOCKET, agent: undefined }),
  'elsewhere-http2': () => viaHttp2(http2.connect(ECHO_HTTP2, { port: Number(process.env['OTHER_HTTP2']) })),
  'elsewhere-redirect': async () => (await fetch(`${ECHO_HTTP}/away`)).text(),
};

async function relay(way: string): Promise<string> {
  await sleep(Math.random() * 5);
  return (WAYS[way] as () => Promise<string>)();
}

/** The call is made from the listener of the body's end, which a connection emits. */
const app: http.RequestListener = (request, response) => {
  request.resume().on('end', () => {
    relay((request.url ?? '').slice(1)).then(
      (text) => response.end(text),
      (error: Error) => response.writeHead(500).end(error.stack),
    );
  });
};

const server = http.createServer(app).listen(0, '127.0.0.1');
const http2Server = http2.createServer(app as never).listen(0, '127.0.0.1');
const grpcServer = new grpc.Server();
grpcServer.addService(Echo.service, {
  Relay: (call: grpc.ServerUnaryCall<{ text: string }, { text: string }>, done: grpc.sendUnaryData<{ text: string }>) => {
    relay(call.request.text).then((text) => done(null, { text }), (error: Error) => done(error));
  },
});
grpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (_error, grpcPort) => {
  const outside = await viaHttp({});
  const port = (one: { address(): unknown }) => (one.address() as { port: number }).port;
  console.log(JSON.stringify({ http: port(server), http2: port(http2Server), grpc: grpcPort, outside }));
});
process.on('disconnect', () => process.exit());
