/**
 * The users, in a process of their own: requests one after the other on many connections, and streams that stay open. Keeps the
 * ledger of what they saw and writes it when asked to stop (SIGTERM); times are milliseconds since the epoch.
 *
 *     node load.ts '{"entry", "tokens": [], "concurrency", "streams", "paths": []}'
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface LoadOrders {
  readonly entry: string;
  /** One a user. */
  readonly tokens: readonly string[];
  /** Requests at once. */
  readonly concurrency: number;
  readonly streams: number;
  /** What is asked for, in turn. */
  readonly paths: readonly string[];
}

/** What one user saw of one path. */
export interface PathLedger {
  readonly answered: number;
  readonly lastAnsweredMs: number;
  /** Answers that were no 200, by status; 0 where none came. */
  readonly refused: Readonly<Record<string, number>>;
  /** 0: never. */
  readonly firstRefusedMs: number;
}

export interface UserLedger {
  readonly paths: Readonly<Record<string, PathLedger>>;
  /** When a byte of a stream came last, and how its streams ended before they were asked to. */
  readonly lastStreamedMs: number;
  readonly brokenOff: number;
  readonly finished: number;
  readonly open: number;
  /** WebSockets that were closed with the code of the withdrawal. */
  readonly toldWhy: number;
}

/** One line when every stream flows and every user was answered, one at the end. */
export type LoadLine = { readonly kind: 'flowing' } | { readonly kind: 'ledger'; readonly users: UserLedger[] };

/** A user who is refused tries again after this, not at once. */
const REFUSED_PAUSE_MS = 20;
/** A third of the streams each: server-sent events over three hops, a gRPC stream on the last one, a WebSocket over three hops. */
const STREAM_PATHS = ['/stream', '/chat', '/socket'] as const;
/** RFC 6455 section 7.4.1: a policy was broken, which is how the mesh ends a WebSocket, and no Close came. */
const POLICY_VIOLATION = 1008;
const BROKEN_OFF = 1006;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? '{}') as LoadOrders);

async function run({ entry, tokens, concurrency, streams, paths }: LoadOrders): Promise<void> {
  type Seen = Mutable<Omit<PathLedger, 'refused'>> & { refused: Record<string, number> };
  const noneYet = (): Seen => ({ answered: 0, lastAnsweredMs: 0, refused: {}, firstRefusedMs: 0 });
  const users = tokens.map((): Mutable<Omit<UserLedger, 'paths'>> & { paths: Record<string, Seen> } => ({
    paths: Object.fromEntries(paths.map((path) => [path, noneYet()])),
    lastStreamedMs: 0,
    brokenOff: 0,
    finished: 0,
    open: 0,
    toldWhy: 0,
  }));
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const streaming: { destroy(): unknown }[] = [];
  let flowing = 0;
  let isOver = false;
  let isTold = false;

  const tell = (line: LoadLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  const tellWhenFlowing = (): void => {
    if (isTold || flowing < streams || users.some((user) => paths.some((path) => user.paths[path]!.answered === 0)))
      return;
    isTold = true;
    tell({ kind: 'flowing' });
  };

  /** The first byte that a stream brings. */
  function beganToFlow(): void {
    flowing += 1;
    tellWhenFlowing();
  }

  function openSocket(n: number): void {
    const user = users[n % users.length]!;
    const socket = new WebSocket(`${entry.replace(/^http/, 'ws')}/socket`, {
      headers: authorization(tokens[n % users.length]!),
    });
    streaming.push({ destroy: () => socket.terminate() });
    socket.on('error', () => undefined);
    socket.on('open', () => {
      user.open += 1;
    });
    socket.once('message', beganToFlow);
    socket.on('message', () => {
      user.lastStreamedMs = now();
    });
    socket.on('close', (code, reason) => {
      if (isOver) return;
      user.open -= 1;
      user[code === POLICY_VIOLATION || code === BROKEN_OFF ? 'brokenOff' : 'finished'] += 1;
      if (code === POLICY_VIOLATION && String(reason) === 'consent_withdrawn') user.toldWhy += 1;
    });
  }

  function openStream(n: number): void {
    const user = users[n % users.length]!;
    const path = STREAM_PATHS[Math.floor(n / users.length) % STREAM_PATHS.length];
    if (path === '/socket') {
      openSocket(n);
      return;
    }
    const outgoing = request(`${entry}${path}`, { headers: authorization(tokens[n % users.length]!) });
    streaming.push(outgoing);
    let began = false;
    outgoing.on('error', () => undefined);
    outgoing.on('response', (response) => {
      user.open += 1;
      response.on('data', () => {
        user.lastStreamedMs = now();
        if (began) return;
        began = true;
        beganToFlow();
      });
      response.on('error', () => undefined);
      response.on('close', () => {
        if (isOver) return;
        user.open -= 1;
        user[response.complete ? 'finished' : 'brokenOff'] += 1;
      });
    });
    outgoing.end();
  }

  async function worker(n: number): Promise<void> {
    for (let at = n; !isOver; at += 1) {
      const index = at % users.length;
      const path = paths[Math.floor(at / users.length) % paths.length]!;
      const seen = users[index]!.paths[path]!;
      const status = await ask(`${entry}${path}`, tokens[index]!, agent).catch(() => 0);
      if (isOver) return;
      if (status === 200) {
        seen.answered += 1;
        seen.lastAnsweredMs = now();
        tellWhenFlowing();
      } else {
        seen.refused[status] = (seen.refused[status] ?? 0) + 1;
        if (seen.firstRefusedMs === 0) seen.firstRefusedMs = now();
        await sleep(REFUSED_PAUSE_MS);
      }
    }
  }

  process.on('SIGTERM', () => {
    isOver = true;
    tell({ kind: 'ledger', users });
    for (const outgoing of streaming) outgoing.destroy();
    agent.destroy();
  });
  for (let n = 0; n < streams; n += 1) openStream(n);
  await Promise.all(Array.from({ length: concurrency }, (_, n) => worker(n)));
}

function ask(url: string, token: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, headers: authorization(token) });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', reject);
    });
    outgoing.end();
  });
}

function authorization(token: string): { Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
