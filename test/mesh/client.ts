/**
 * The outside world, in a process of its own: makes requests and writes one JSON line for each that was answered or failed, in
 * the order in which that was known. What it wrote is the ledger that the record is held against.
 *
 *     node client.ts '{"url", "tokens": [], "count"|"forMs", "concurrency", "paceMs", "newConnections", "sleepUpToMs", "expectUsers": []}'
 */
import { randomInt } from 'node:crypto';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

interface Orders {
  readonly url: string;
  readonly method?: string;
  readonly tokens: readonly string[];
  readonly count?: number;
  readonly forMs?: number;
  readonly concurrency: number;
  readonly paceMs?: number;
  readonly newConnections?: boolean;
  readonly sleepUpToMs?: number;
  /** What to send in the body, a token. */
  readonly bodies?: readonly string[];
}

/** One line of the ledger. */
export interface LedgerLine {
  readonly n: number;
  readonly token: number;
  /** 0 where no answer came. */
  readonly status: number;
  readonly request: string;
  readonly body: string;
}

const orders = JSON.parse(process.argv[2] ?? '{}') as Orders;
const agent = new Agent({ keepAlive: orders.newConnections !== true, maxSockets: orders.concurrency });
let endMs = orders.forMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + orders.forMs;
let next = 0;
// Asked to stop, it finishes what it began: no answered request stays out of the ledger.
process.on('SIGTERM', () => {
  endMs = 0;
});

await Promise.all(Array.from({ length: orders.concurrency }, () => worker()));
agent.destroy();

async function worker(): Promise<void> {
  for (;;) {
    const n = next;
    if (n >= (orders.count ?? Number.POSITIVE_INFINITY) || performance.now() >= endMs) return;
    next += 1;
    const line = await one(n).catch((error: Error) => ({
      n,
      token: n % orders.tokens.length,
      status: 0,
      request: '',
      body: error.message,
    }));
    process.stdout.write(`${JSON.stringify(line)}\n`);
    if (orders.paceMs !== undefined) await sleep(orders.paceMs);
  }
}

async function one(n: number): Promise<LedgerLine> {
  const token = n % orders.tokens.length;
  const url = new URL(orders.url);
  if (orders.sleepUpToMs !== undefined) url.searchParams.set('sleep', String(randomInt(orders.sleepUpToMs)));
  const outgoing = request(url, {
    method: orders.method ?? 'GET',
    agent,
    headers: { Authorization: `Bearer ${orders.tokens[token]}`, 'Content-Type': 'application/json' },
  });
  const answered = new Promise<LedgerLine>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      text(response).then(
        (body) =>
          resolve({
            n,
            token,
            status: response.statusCode ?? 0,
            request: String(response.headers['x-request'] ?? ''),
            body,
          }),
        reject,
      );
    });
  });
  outgoing.end(orders.bodies?.[token]);
  return answered;
}
