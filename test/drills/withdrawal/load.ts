/**
 * The users, in a process of their own: requests one after the other on many connections, and streams that stay open. Keeps the
 * ledger of what they saw and writes it when asked to stop (SIGTERM); times are milliseconds since the epoch.
 *
 *     node load.ts '{"entry", "tokens": [], "concurrency", "streams"}'
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoadOrders {
  readonly entry: string;
  /** One a user. */
  readonly tokens: readonly string[];
  /** Requests at once. */
  readonly concurrency: number;
  readonly streams: number;
}

export interface UserLedger {
  readonly answered: number;
  readonly lastAnsweredMs: number;
  /** Answers that were no 200, by status; 0 where none came. */
  readonly refused: Readonly<Record<string, number>>;
  /** When a byte of a stream came last, and how its streams ended before they were asked to. */
  readonly lastStreamedMs: number;
  readonly brokenOff: number;
  readonly finished: number;
  readonly open: number;
}

/** One line when every stream flows and every user was answered, one at the end. */
export type LoadLine = { readonly kind: 'flowing' } | { readonly kind: 'ledger'; readonly users: UserLedger[] };

/** A user who is refused tries again after this, not at once. */
const REFUSED_PAUSE_MS = 20;
/** Half of the streams are server-sent events over three hops, half are a gRPC stream on the last one. */
const STREAM_PATHS = ['/stream', '/chat'] as const;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? '{}') as LoadOrders);

async function run({ entry, tokens, concurrency, streams }: LoadOrders): Promise<void> {
  const users = tokens.map((): Mutable<UserLedger> & { refused: Record<string, number> } => ({
    answered: 0,
    lastAnsweredMs: 0,
    refused: {},
    lastStreamedMs: 0,
    brokenOff: 0,
    finished: 0,
    open: 0,
  }));
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const streaming: ReturnType<typeof request>[] = [];
  let flowing = 0;
  let isOver = false;
  let isTold = false;

  const tell = (line: LoadLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  const tellWhenFlowing = (): void => {
    if (isTold || flowing < streams || users.some(({ answered }) => answered === 0)) return;
    isTold = true;
    tell({ kind: 'flowing' });
  };

  function openStream(n: number): void {
    const user = users[n % users.length]!;
    const path = STREAM_PATHS[Math.floor(n / users.length) % STREAM_PATHS.length];
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
        flowing += 1;
        tellWhenFlowing();
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
      const user = users[index]!;
      const status = await ask(`${entry}/notes`, tokens[index]!, agent).catch(() => 0);
      if (isOver) return;
      if (status === 200) {
        user.answered += 1;
        user.lastAnsweredMs = now();
        tellWhenFlowing();
      } else {
        user.refused[status] = (user.refused[status] ?? 0) + 1;
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
