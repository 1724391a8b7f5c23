/**
 * One run with a sidecar cut off: that of `front`, where users enter, hears no more from the collector. A consent is withdrawn: the
 * sidecars behind it refuse within a second; itself, which cannot know, refuses once its live state is too old, and not before.
 */
import type { ServiceClient } from '../../../identity/mtls/index.ts';
import type { Consents } from '../../../proto/behalf/authority/v1/authority.ts';
import { eventually, type RunningMesh } from '../../mesh/running-mesh.ts';
import type { FrozenProxy } from './frozen-proxy.ts';
import type { UserLedger } from './load.ts';
import { delay, NOTES, now, type RunOptions, signIn, startLoad, WITHIN_MS } from './measure.ts';
import type { DrillUser } from './three-hops.ts';

/** The least that a policy may set, so that runs are short. */
export const MAX_STALENESS_S = 15;
/** What `front` answers by itself: only its own sidecar can refuse it. */
const HERE = '/here';
/** The authority's live state comes with a heartbeat every 5 s: what the last one is old when the sidecar is cut off. */
const HEARTBEAT_MS = 5_000;
/** Load goes on for so long after live state is too old for certain. */
const AFTER_MS = 1_500;
/** Clocks that are compared: of when a call was judged, and of when its answer was read. */
const READ_MS = 1_000;

export interface CutOffResult {
  readonly user: string;
  /** From the withdrawal's being asked for to the last answer that another sidecar had a part in. */
  readonly othersToLastMs: number;
  /** The same of the sidecar that was cut off. */
  readonly cutOffToLastMs: number;
  /** From the cut to the first refusal of anyone else: not before live state is too old. */
  readonly cutToFirstRefusalMs: number;
  /** From the mending to the first answer for another user. */
  readonly mendedToAnswerMs: number;
  readonly broken: readonly string[];
}

export interface CutOffRun {
  readonly users: readonly DrillUser[];
  readonly who: number;
  readonly proxy: FrozenProxy;
}

export async function measureCutOff(
  running: RunningMesh,
  consents: ServiceClient<Consents>,
  { users, who, proxy }: CutOffRun,
  { concurrency, streams, withinMs = WITHIN_MS }: RunOptions,
): Promise<CutOffResult> {
  const sessions = [];
  for (const user of users) sessions.push(await signIn(running, user));
  const entry = running.service('front').entry!;
  const tokens = sessions.map(({ accessToken }) => accessToken);
  const load = startLoad({ entry, tokens, concurrency, streams, paths: [NOTES, HERE] });
  try {
    await load.flowing;
    proxy.freeze();
    const cutMs = now();
    await consents.revokeConsent({ id: sessions[who]!.consentId, reason: 'drill' });
    await delay(MAX_STALENESS_S * 1_000 + AFTER_MS);
    const ledgers = await load.stop();
    proxy.thaw();
    const mendedMs = now();
    const other = tokens[(who + 1) % tokens.length]!;
    await eventually(async () => {
      const answer = await fetch(`${entry}${HERE}`, { headers: { Authorization: `Bearer ${other}` } });
      await answer.text();
      return answer.status === 200 ? true : null;
    }, 30_000);
    return judge({
      user: users[who]!.account,
      who,
      cutMs,
      ledgers,
      withinMs,
      mendedToAnswerMs: Math.round(now() - mendedMs),
    });
  } finally {
    load.kill();
    proxy.thaw();
  }
}

interface Facts {
  readonly user: string;
  readonly who: number;
  readonly cutMs: number;
  readonly ledgers: readonly UserLedger[];
  readonly mendedToAnswerMs: number;
  readonly withinMs: number;
}

function judge({ user, who, cutMs, ledgers, withinMs, mendedToAnswerMs }: Facts): CutOffResult {
  const mine = ledgers[who]!;
  const others = ledgers.filter((_, n) => n !== who);
  const broken: string[] = [];
  const hold = (isHeld: boolean, what: string): void => void (isHeld || broken.push(what));
  const since = (ms: number): number => Math.max(0, Math.round(ms - cutMs));

  const onward = Math.max(mine.paths[NOTES]!.lastAnsweredMs, mine.lastStreamedMs);
  hold(onward - cutMs < withinMs, `another sidecar answered ${since(onward)} ms later`);
  const own = mine.paths[HERE]!;
  hold(
    own.lastAnsweredMs - cutMs < MAX_STALENESS_S * 1_000 + READ_MS,
    `answered ${since(own.lastAnsweredMs)} ms later`,
  );
  hold(Object.keys(own.refused).length > 0, 'the sidecar that was cut off refused nothing');
  for (const status of Object.keys(own.refused)) hold(status === '403' || status === '503', `refused with ${status}`);
  hold(mine.open === 0, `${mine.open} streams went on`);

  let first = Number.POSITIVE_INFINITY;
  for (const { paths, open } of others) {
    for (const [path, { firstRefusedMs, refused, lastAnsweredMs }] of Object.entries(paths)) {
      if (firstRefusedMs > 0) first = Math.min(first, firstRefusedMs);
      hold(Object.keys(refused).join() === '503', `${path} of others was refused with ${Object.keys(refused)}`);
      hold(lastAnsweredMs - cutMs < MAX_STALENESS_S * 1_000 + READ_MS, `${path} was answered on stale state`);
    }
    hold(open === 0, `${open} streams of others went on`);
  }
  const soonestMs = MAX_STALENESS_S * 1_000 - HEARTBEAT_MS - READ_MS;
  hold(first - cutMs > soonestMs, `others were refused after ${since(first)} ms`);
  return {
    user,
    othersToLastMs: since(onward),
    cutOffToLastMs: since(own.lastAnsweredMs),
    cutToFirstRefusalMs: Number.isFinite(first) ? since(first) : 0,
    mendedToAnswerMs,
    broken,
  };
}
