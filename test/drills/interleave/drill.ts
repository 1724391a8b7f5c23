/**
 * `npm run drill:interleave -- [--count N] [--from I] [--seed S] [--concurrency C] [--ways a,b]`: requests of 50 users, interleaved
 * through apps that pass context on in each way there is, over real sidecars, with random delays, connections that are reused and
 * requests that are broken off and sent again. The service behind must see the right user in each one; where the app was told to
 * lose the context (1 %), the call must be denied and never guessed. `--from` goes on after the number that progress showed last.
 * Progress and rates go to standard error; the last line on standard output is the result.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type RunningMesh, runMesh } from '../../mesh/running-mesh.ts';
import { PEER_NAMES, type PeerName, readyPeers } from '../../peers/peers.ts';
import type { InterleaveLine, InterleaveOrders } from './ledger-line.ts';
import { peersMesh } from './peers-mesh.ts';

const CLIENT = fileURLToPath(new URL('client.ts', import.meta.url));
const DEFAULT_COUNT = 100_000;
const DEFAULT_SEED = 'behalf';
const DEFAULT_CONCURRENCY = 48;
const USERS = 50;
const SAY_EVERY = 5_000;
const MAX_FAILURES_TOLD = 20;
/** A call without context has none of its own to go on: it is missing, or, where trace ids count, of a trace that nobody began. */
const DENIED = ['delegation_missing', 'context_unknown'];

export interface InterleaveOptions {
  readonly count: number;
  readonly from?: number;
  readonly seed: string;
  readonly concurrency?: number;
  readonly users?: number;
  readonly ways?: readonly PeerName[];
  readonly nodeArgs?: (child: string) => readonly string[];
  /** Looks at the mesh before it ends. */
  readonly before?: (running: RunningMesh) => Promise<void>;
}

export interface InterleaveResult {
  readonly drill: 'interleave';
  readonly tried: number;
  readonly held: number;
  /** The first twenty. */
  readonly failed: readonly object[];
}

/** Requests of one way: held, or denied as they had to be; failed, and of those the ones let through without a context, or for another user. */
export interface WayTally {
  held: number;
  denied: number;
  failed: number;
  guessed: number;
  wrongUser: number;
}

export interface InterleaveTally {
  readonly ways: Readonly<Record<string, WayTally>>;
  readonly perSecond: number;
  /** Requests that were sent again because a service could not be reached. */
  readonly sentAgain: number;
}

/** Runs it; `say` is told progress, `tally` the end. */
export async function runDrill(
  options: InterleaveOptions,
  say: (line: string) => void,
): Promise<InterleaveResult & { readonly tally: InterleaveTally }> {
  const { nodeArgs = () => [], users = USERS, ways = PEER_NAMES } = options;
  const peers = await readyPeers(ways);
  const accounts = Object.fromEntries(Array.from({ length: users }, (_, i) => [`user-${i}`, `password of user-${i}`]));
  const running = await runMesh((dir) => peersMesh(dir, peers, accounts), { nodeArgs });
  try {
    const { tokens, subjects } = await signInAll(running, accounts);
    say(`${users} users signed in; ways: ${[...peers.keys()].join(' ')}`);
    const entries = [...peers.keys()].map((way) => ({ way, url: running.service(way).entry ?? '' }));
    const { count, from = 0, seed, concurrency = DEFAULT_CONCURRENCY } = options;
    const result = await send({ entries, tokens, from, count, seed, concurrency }, subjects, say);
    await options.before?.(running);
    return result;
  } finally {
    await running.stop();
  }
}

/** Their tokens, and the pseudonyms that services see. */
async function signInAll(
  running: RunningMesh,
  accounts: Readonly<Record<string, string>>,
): Promise<{ tokens: string[]; subjects: string[] }> {
  const tokens: string[] = [];
  const subjects: string[] = [];
  for (const [account, password] of Object.entries(accounts)) {
    tokens.push((await running.signIn(account, password)).accessToken);
    subjects.push((await running.consents.lookUpSubject({ account })).subject);
  }
  return { tokens, subjects };
}

async function send(
  orders: InterleaveOrders,
  subjects: readonly string[],
  say: (line: string) => void,
): Promise<InterleaveResult & { readonly tally: InterleaveTally }> {
  const child = spawn(process.execPath, [CLIENT, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const ways: Record<string, WayTally> = {};
  const failed: object[] = [];
  let [tried, held, sentAgain] = [0, 0, 0];
  const startedMs = performance.now();
  const perSecond = (): number => Math.round((tried / (performance.now() - startedMs)) * 1_000);
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as InterleaveLine;
    ways[line.way] ??= { held: 0, denied: 0, failed: 0, guessed: 0, wrongUser: 0 };
    const way = ways[line.way]!;
    tried += 1;
    sentAgain += line.retries > 0 ? 1 : 0;
    if (holds(line, subjects)) {
      held += 1;
      way[line.dropped ? 'denied' : 'held'] += 1;
    } else {
      way.failed += 1;
      if (failed.length < MAX_FAILURES_TOLD) say(JSON.stringify(line));
      if (line.dropped && line.status === 200) way.guessed += 1;
      if (!line.dropped && line.status === 200) way.wrongUser += 1;
      if (failed.length < MAX_FAILURES_TOLD) failed.push(line);
    }
    // Those under way may have higher numbers: to go on from here repeats them.
    if (tried % SAY_EVERY === 0)
      say(`${tried} answered, ${held} held, ${perSecond()}/s; --from ${orders.from + tried - orders.concurrency}`);
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the client ended with ${code}`);
  return { drill: 'interleave', tried, held, failed, tally: { ways, perSecond: perSecond(), sentAgain } };
}

/** The right user, or, where the context was lost, nobody. */
function holds(line: InterleaveLine, subjects: readonly string[]): boolean {
  if (line.dropped) return line.status === 403 && DENIED.includes(line.code);
  return line.status === 200 && line.subject === subjects[line.user];
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: String(DEFAULT_COUNT) },
      from: { type: 'string', default: '0' },
      seed: { type: 'string', default: DEFAULT_SEED },
      concurrency: { type: 'string', default: String(DEFAULT_CONCURRENCY) },
      ways: { type: 'string', default: PEER_NAMES.join(',') },
    },
  });
  const options = {
    count: Number(values.count),
    from: Number(values.from),
    seed: values.seed,
    concurrency: Number(values.concurrency),
    ways: values.ways.split(',').filter((way): way is PeerName => PEER_NAMES.includes(way as PeerName)),
  };
  const { tally, ...result } = await runDrill(options, (line) => process.stderr.write(`${line}\n`));
  process.stderr.write(`${JSON.stringify(tally)}\n`);
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.held !== result.tried) process.exitCode = 1;
}
