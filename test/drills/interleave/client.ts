/**
 * The users of the interleave drill, in a process of their own: sends its share of numbered requests, each decided by seed and
 * number alone, and writes a line for each that was answered. Some go over a new connection, some are broken off and sent again, as
 * are all that come back with 502, 503 or 504 because a service could not be reached; many bring the same `traceparent`. What it
 * wrote is what the drill is judged by.
 *
 *     node client.ts '{"entries": [{"way","url"}], "tokens": [], "from", "count", "seed", "concurrency"}'
 */
import { hash } from 'node:crypto';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InterleaveLine, InterleaveOrders } from './ledger-line.ts';

const UNREACHED: readonly number[] = [502, 503, 504];
const MAX_RETRIES = 3;
const ONE_TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const orders = JSON.parse(process.argv[2] ?? '{}') as InterleaveOrders;
const kept = new Agent({ keepAlive: true, maxSockets: orders.concurrency });
const fresh = new Agent({ keepAlive: false });
let next = orders.from;

await Promise.all(Array.from({ length: orders.concurrency }, worker));
kept.destroy();
fresh.destroy();

async function worker(): Promise<void> {
  while (next < orders.count) {
    const n = next;
    next += 1;
    process.stdout.write(`${JSON.stringify(await one(n))}\n`);
  }
}

async function one(n: number): Promise<InterleaveLine> {
  const dice = hash('sha256', `${orders.seed}:${n}`, 'buffer');
  const user = dice.readUInt16BE(0) % orders.tokens.length;
  const { way, url } = orders.entries[dice.readUInt16BE(2) % orders.entries.length]!;
  const dropped = dice.readUInt16BE(4) % 100 === 0;
  const send = (retry: boolean): Promise<{ status: number; body: string }> => {
    const path = `${dropped ? '/forget' : '/keep'}?sleep=${dice[6]! % 20}&n=${n}`;
    return post(new URL(path, url), {
      token: orders.tokens[user]!,
      body: 'x'.repeat(1 + (dice[7]! % 2)),
      sharesTrace: dice[8]! % 2 === 0,
      agent: dice[9]! % 10 === 0 ? fresh : kept,
      breakOffMs: retry ? null : dice[10]! % 20,
    });
  };
  try {
    if (dice[11]! % 10 === 0) await send(false).catch(() => undefined);
    for (let retries = 0; ; retries += 1) {
      const { status, body } = await send(true);
      if (UNREACHED.includes(status) && retries < MAX_RETRIES) continue;
      const { subject = '', code = '' } = JSON.parse(body) as { subject?: string; code?: string };
      return { n, way, user, dropped, status, subject, code, retries };
    }
  } catch (error) {
    return { n, way, user, dropped, status: 0, subject: '', code: (error as Error).message, retries: 0 };
  }
}

interface Sending {
  readonly token: string;
  readonly body: string;
  readonly sharesTrace: boolean;
  readonly agent: Agent;
  /** After how long it is broken off; null to wait for the answer. */
  readonly breakOffMs: number | null;
}

async function post(url: URL, sending: Sending): Promise<{ status: number; body: string }> {
  const { token, body, sharesTrace, agent, breakOffMs } = sending;
  const outgoing = request(url, {
    method: 'POST',
    agent,
    headers: { Authorization: `Bearer ${token}`, ...(sharesTrace ? { traceparent: ONE_TRACE } : {}) },
  });
  const answered = new Promise<{ status: number; body: string }>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response) =>
      text(response).then((read) => resolve({ status: response.statusCode ?? 0, body: read }), reject),
    );
  });
  outgoing.end(body);
  if (breakOffMs !== null) {
    await Promise.race([sleep(breakOffMs), answered]);
    outgoing.destroy();
  }
  return answered;
}
