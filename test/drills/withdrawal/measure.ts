/** One run: load and streams of ten users, the consent of one withdrawn, and how long the mesh still answered for that user. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { decodeEvent } from '../../../audit/event/index.ts';
import { type ObtainedTokens, obtainTokens } from '../../../authority/headless/index.ts';
import type { ServiceClient } from '../../../identity/mtls/index.ts';
import type { Consents } from '../../../proto/behalf/authority/v1/authority.ts';
import { eventually, type RunningMesh } from '../../mesh/running-mesh.ts';
import { CLIENT } from '../../mesh/two-services.ts';
import type { LoadLine, LoadOrders, UserLedger } from './load.ts';
import { type DrillUser, SCOPE } from './three-hops.ts';

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url));
/** How long load runs before the withdrawal and goes on after it. */
/** What users ask for, over three hops. */
export const NOTES = '/notes';
const BEFORE_MS = 1_500;
const AFTER_MS = 2_000;
/** The promise (DESIGN section 6). */
export const WITHIN_MS = 1_000;

const END_CODES: ReadonlySet<string> = new Set(['consent_withdrawn', 'upstream_unavailable']);

export interface RunOptions {
  readonly concurrency: number;
  readonly streams: number;
  readonly beforeMs?: number;
  /** Longest time that still holds; less than a second, unless a test must hold on a machine that does other things too. */
  readonly withinMs?: number;
}

export interface RunResult {
  readonly user: string;
  /** From the withdrawal's being asked for, and from its answer, to the last answer or streamed byte for that user. */
  readonly askedToLastMs: number;
  readonly answeredToLastMs: number;
  /** The same by each sidecar's own record: its last forwarded call, or the end of its last stream. */
  readonly recordedToLastMs: number;
  readonly streamsEnded: number;
  readonly answersBefore: number;
  readonly answersOfOthers: number;
  readonly answersPerSecond: number;
  /** What did not hold; empty where all did. */
  readonly broken: readonly string[];
}

/** Whoever signed in, by user; a run uses up one of them. */
export type Sessions = (ObtainedTokens | null)[];

/** Signs in who has to, makes one run. */
export async function measure(
  running: RunningMesh,
  consents: ServiceClient<Consents>,
  { users, sessions, who }: { readonly users: readonly DrillUser[]; readonly sessions: Sessions; readonly who: number },
  options: RunOptions,
): Promise<RunResult> {
  const signedIn: ObtainedTokens[] = [];
  for (const [n, user] of users.entries()) signedIn.push(sessions[n] ?? (await signIn(running, user)));
  for (const [n, session] of signedIn.entries()) sessions[n] = n === who ? null : session;
  const { consentId } = signedIn[who]!;
  const load = startLoad({
    entry: running.service('front').entry!,
    tokens: signedIn.map(({ accessToken }) => accessToken),
    concurrency: options.concurrency,
    streams: options.streams,
    paths: [NOTES],
  });
  try {
    await load.flowing;
    await delay(options.beforeMs ?? BEFORE_MS);
    const askedMs = now();
    await consents.revokeConsent({ id: consentId, reason: 'drill' });
    const answeredMs = now();
    await delay(AFTER_MS);
    const durationS = (now() - load.startedMs) / 1_000;
    const ledgers = await load.stop();
    const ends = await endsOnRecord(running, {
      subject: await subjectOf(consents, users[who]!),
      startedMs: load.startedMs,
      askedMs,
      streams: ledgers[who]!.brokenOff,
    });
    return judge({ user: users[who]!.account, who, askedMs, answeredMs, ledgers, ends, durationS, options });
  } finally {
    load.kill();
  }
}

interface Facts {
  readonly user: string;
  readonly who: number;
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly ledgers: readonly UserLedger[];
  readonly ends: { readonly lastMs: number; readonly codes: ReadonlySet<string> };
  readonly durationS: number;
  readonly options: RunOptions;
}

function judge({ user, who, askedMs, answeredMs, ledgers, ends, durationS, options }: Facts): RunResult {
  const mine = ledgers[who]!;
  const others = ledgers.filter((_, n) => n !== who);
  const { refused, answered, lastAnsweredMs } = mine.paths[NOTES]!;
  const lastMs = Math.max(lastAnsweredMs, mine.lastStreamedMs);
  const mineOpen = Math.ceil((options.streams - who) / ledgers.length);
  const broken: string[] = [];
  const hold = (isHeld: boolean, what: string): void => void (isHeld || broken.push(what));
  hold(
    Math.max(lastMs, ends.lastMs) - askedMs < (options.withinMs ?? WITHIN_MS),
    `answered ${Math.round(lastMs - askedMs)} ms later`,
  );
  hold(mine.brokenOff === mineOpen && mine.finished === 0, `${mine.brokenOff} of ${mineOpen} streams were broken off`);
  const sockets = socketsOf(mineOpen);
  hold(mine.toldWhy === sockets, `${mine.toldWhy} of ${sockets} WebSockets were told why`);
  hold(
    Object.keys(refused).every((status) => status === '403'),
    `refused with ${Object.keys(refused)}`,
  );
  hold(Object.keys(refused).length > 0, 'nothing was refused');
  // A sidecar may see its app break off, because another one was told first, before it is told itself.
  const { codes } = ends;
  hold(codes.has('consent_withdrawn') && codes.isSubsetOf(END_CODES), `streams ended with ${[...codes]}`);
  for (const { paths, brokenOff, finished } of others) {
    const theirs = paths[NOTES]!.refused;
    hold(Object.keys(theirs).length === 0, `others were refused: ${JSON.stringify(theirs)}`);
    hold(brokenOff + finished === 0, 'streams of others ended');
  }
  const answersOfOthers = others.reduce((sum, { paths }) => sum + paths[NOTES]!.answered, 0);
  return {
    user,
    askedToLastMs: Math.max(0, Math.round(lastMs - askedMs)),
    answeredToLastMs: Math.max(0, Math.round(lastMs - answeredMs)),
    recordedToLastMs: Math.max(0, Math.round(ends.lastMs - askedMs)),
    streamsEnded: mine.brokenOff,
    answersBefore: answered,
    answersOfOthers,
    answersPerSecond: Math.round((answersOfOthers + answered) / durationS),
    broken,
  };
}

/** Of so many streams of one user, every third is a WebSocket. */
function socketsOf(streams: number): number {
  return Math.floor(streams / 3);
}

/** What the sidecars put on record for that user after the withdrawal was asked for. Waits for the ends of the streams. */
async function endsOnRecord(
  { query }: RunningMesh,
  { subject, startedMs, askedMs, streams }: { subject: string; startedMs: number; askedMs: number; streams: number },
): Promise<Facts['ends']> {
  const sinceUs = Math.floor(startedMs * 1_000);
  const afterUs = Math.floor(askedMs * 1_000);
  const { ends, answers } = await eventually(async () => {
    const { events } = await query.listHops({ subject, sinceUs, limit: 10_000 });
    const seen = events.map(({ event }) => decodeEvent(event)).filter(({ timeUs }) => timeUs >= afterUs);
    const ended = seen.flatMap((event) => (event.body === 'hopEnd' ? [event] : []));
    // A stream stands on record at the entry and at both sides of its two further hops.
    if (ended.length < streams * 5) return null;
    return {
      ends: ended,
      answers: seen.filter((event) => event.body === 'hop' && event.hop.outcome === 'OUTCOME_FORWARDED'),
    };
  });
  return {
    lastMs: [...ends, ...answers].reduce((last, { timeUs }) => Math.max(last, timeUs), 0) / 1_000,
    codes: new Set(ends.map(({ hopEnd }) => hopEnd.code).filter(Boolean)),
  };
}

export interface Load {
  readonly startedMs: number;
  readonly flowing: Promise<void>;
  /** Ends it; gives each user's ledger. */
  stop(): Promise<UserLedger[]>;
  kill(): void;
}

export function startLoad(orders: LoadOrders): Load {
  const child: ChildProcess = spawn(process.execPath, [LOAD, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const flowing = Promise.withResolvers<void>();
  const ledger = Promise.withResolvers<UserLedger[]>();
  createInterface({ input: child.stdout! }).on('line', (text) => {
    const line = JSON.parse(text) as LoadLine;
    if (line.kind === 'flowing') flowing.resolve();
    else ledger.resolve(line.users);
  });
  child.on('close', (code) => {
    const error = new Error(`the load ended with ${code}`);
    flowing.reject(error);
    ledger.reject(error);
  });
  ledger.promise.catch(() => undefined);
  return {
    startedMs: now(),
    flowing: Promise.race([
      flowing.promise,
      delay(30_000).then(() => Promise.reject(new Error('the load does not flow'))),
    ]),
    stop: () => {
      child.kill('SIGTERM');
      return ledger.promise;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

export function signIn({ mesh }: RunningMesh, { account, password }: DrillUser) {
  return obtainTokens({
    issuer: mesh.file.authority!.issuer,
    clientId: CLIENT.id,
    redirectUri: CLIENT.redirectUri,
    account,
    password,
    scopes: [SCOPE],
    purpose: 'drill',
    durationS: 3_600,
  });
}

/** The pseudonym under which the record knows a user. */
async function subjectOf(consents: ServiceClient<Consents>, { account }: DrillUser): Promise<string> {
  return (await consents.lookUpSubject({ account })).subject;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

export function now(): number {
  return performance.timeOrigin + performance.now();
}
