/**
 * Runs an app between two ends of its own: sends it requests as its sidecar would, many at once over kept-alive connections, and takes
 * its calls out as the sidecar's local port would. No mesh is needed and nothing but loopback is contacted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { BehalfError } from '../../errors/index.ts';
import type { SeenCall, SentRequests } from './judge-calls.ts';

/** Longest wait for the answer to one request. */
const ANSWER_MS = 20_000;
/** How long calls that the app makes after its answers are waited for. */
const LATE_CALLS_MS = 500;
const STOP_MS = 3_000;
const POLL_MS = 50;
/** The calls are answered after up to so long, so that requests overtake each other. */
const SINK_DELAY_MS = 20;
const MAX_BODY_READ = 65_536;

export interface HarnessOptions {
  readonly command: readonly string[];
  /** `host:port` where the app listens; null: it is told a free port in `PORT`. */
  readonly listen: string | null;
  /** Names of variables that hold the URL for its calls. */
  readonly upstreams: readonly string[];
  /** Port for its calls; 0 for a free one. */
  readonly sinkPort: number;
  readonly path: string;
  readonly method: string;
  readonly requests: number;
  readonly concurrency: number;
  readonly startMs: number;
}

export interface Harnessed {
  readonly sent: SentRequests;
  readonly calls: readonly SeenCall[];
  readonly unanswered: number;
}

/**
 * Starts the app, asks it, ends it.
 * @throws {BehalfError} `upstream_unavailable` if it does not listen in time or ends by itself
 */
export async function runHarness(options: HarnessOptions): Promise<Harnessed> {
  const sink = await openSink(options.sinkPort);
  const address = options.listen ?? `127.0.0.1:${await freePort()}`;
  const app = startApp(options, address, sink.port);
  const forward = (): void => endApp(app, 'SIGTERM');
  process.once('SIGINT', forward).once('SIGTERM', forward);
  try {
    await listening(app, address, options.startMs);
    const { answers, handles, traces } = await ask(options, address);
    await sleep(LATE_CALLS_MS);
    const calls = sink.calls.map(({ headers, id, told }) => ({
      headers,
      madeFor: told ?? answers.findIndex((answer) => answer?.includes(id)),
    }));
    return {
      sent: { count: options.requests, byHandle: handles, byTrace: traces },
      calls: calls.map((call) => ({ ...call, madeFor: call.madeFor < 0 ? null : call.madeFor })),
      unanswered: answers.filter((answer) => answer === null).length,
    };
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward);
    await stopApp(app);
    sink.server.close();
    sink.server.closeAllConnections();
  }
}

interface SinkCall {
  readonly headers: readonly string[];
  /** Given back to the app, which may give it back to us. */
  readonly id: string;
  /** Number of the request, where the app sent on what told it. */
  readonly told: number | null;
}

/** The sidecar's local port. */
async function openSink(port: number): Promise<{ server: Server; port: number; calls: SinkCall[] }> {
  const calls: SinkCall[] = [];
  const server = createServer(async (incoming, answer) => {
    const headers = incoming.rawHeaders.map((one, at) => (at % 2 === 0 ? one.toLowerCase() : one));
    const body = await bodyOf(incoming);
    const id = `call-${randomBytes(9).toString('base64url')}`;
    const told = markIn(`${incoming.url} ${incoming.headers['x-request-id']} ${body}`);
    calls.push({ headers, id, told });
    await sleep(Math.random() * SINK_DELAY_MS);
    answer.writeHead(200, { 'Content-Type': 'application/json', 'X-Call': id }).end(JSON.stringify({ call: id }));
  });
  server.listen(port, '127.0.0.1');
  await Promise.race([once(server, 'listening'), once(server, 'error').then(([error]) => Promise.reject(error))]);
  return { server, port: (server.address() as AddressInfo).port, calls };
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of incoming) if (body.length < MAX_BODY_READ) body += chunk;
  return body;
}

const markOf = (n: number): string => `behalf-check-${n}-`;

function markIn(sentOn: string): number | null {
  const found = /behalf-check-([0-9]{1,7})-/.exec(sentOn)?.[1];
  return found === undefined ? null : Number(found);
}

interface Asked {
  /** Body and header of each answer; null where none came. */
  readonly answers: readonly (string | null)[];
  readonly handles: ReadonlyMap<string, number>;
  readonly traces: ReadonlyMap<string, number>;
}

async function ask({ requests, concurrency, path, method }: HarnessOptions, address: string): Promise<Asked> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const handles = new Map<string, number>();
  const traces = new Map<string, number>();
  const answers: (string | null)[] = new Array(requests).fill(null);
  let next = 0;
  const one = async (n: number): Promise<string> => {
    const handle = randomBytes(16).toString('base64url');
    const trace = randomBytes(16).toString('hex');
    handles.set(handle, n);
    traces.set(trace, n);
    const url = new URL(path, `http://${address}`);
    url.searchParams.set('mark', markOf(n));
    const outgoing = request(url, {
      method,
      agent,
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: {
        'Delegation-Context': handle,
        'Delegation-Subject': 'u:check',
        'Delegation-Scopes': '',
        baggage: `dlg=${handle},check=1`,
        traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01`,
        'X-Request-Id': markOf(n),
        'Content-Type': 'text/plain',
      },
    });
    outgoing.end(method === 'GET' || method === 'HEAD' ? undefined : markOf(n));
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return `${response.headers['x-call'] ?? ''} ${await text(response)}`;
  };
  const worker = async (): Promise<void> => {
    while (next < requests) {
      const n = next;
      next += 1;
      answers[n] = await one(n).catch(() => null);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  agent.destroy();
  return { answers, handles, traces };
}

function startApp({ command, upstreams }: HarnessOptions, address: string, sinkPort: number): ChildProcess {
  const url = `http://127.0.0.1:${sinkPort}`;
  const [program = '', ...args] = command;
  return spawn(program === 'node' ? process.execPath : program, args, {
    env: {
      ...process.env,
      PORT: address.slice(address.lastIndexOf(':') + 1),
      BEHALF_PORTS: String(sinkPort),
      ...Object.fromEntries(upstreams.map((name) => [name, url])),
    },
    // What it says is not our answer. A group of its own, so that what it starts ends with it.
    stdio: ['ignore', 2, 2],
    detached: true,
  });
}

/** @throws {BehalfError} `upstream_unavailable` */
async function listening(app: ChildProcess, address: string, startMs: number): Promise<void> {
  const failed = once(app, 'error').then(([error]) => Promise.reject(unavailable('it cannot be run', error)));
  failed.catch(() => undefined);
  const untilMs = performance.now() + startMs;
  while (performance.now() < untilMs) {
    if (app.exitCode !== null) throw unavailable(`it ended with ${app.exitCode} before it listened`);
    if (await Promise.race([canConnect(address), failed])) return;
    await Promise.race([sleep(POLL_MS), failed]);
  }
  throw unavailable(`nothing listens at ${address} after ${startMs} ms; PORT says where, or --listen`);
}

function unavailable(why: string, cause?: unknown): BehalfError {
  return new BehalfError('upstream_unavailable', { what: 'the app', why }, { cause });
}

function canConnect(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function stopApp(app: ChildProcess): Promise<void> {
  if (app.pid === undefined || app.exitCode !== null || app.signalCode !== null) return;
  const exited = once(app, 'exit');
  endApp(app, 'SIGTERM');
  const late = setTimeout(() => endApp(app, 'SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(late);
}

function endApp({ pid }: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It is gone.
  }
}
