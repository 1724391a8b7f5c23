/**
 * What a receiver has of one source: which numbers, whether they are all, and how old that knowledge is. Pure; time is passed
 * in. A signed heartbeat names the newest and the lowest kept number, so that a relay can drop nothing unseen: a heartbeat
 * that finds a number missing does not count, and the source goes stale.
 */
import type { LiveStateHeartbeat } from '../live-state.ts';

/** What a heartbeat showed. */
export type BeatOutcome = 'complete' | 'incomplete' | 'went_back' | 'older';

export interface SourceLedger {
  /** Notes a verified entry; false where it was known. */
  take(number: number): boolean;
  /** Notes a verified heartbeat, received now. */
  beat(heartbeat: LiveStateHeartbeat, wallS: number, monotonicMs: number): BeatOutcome;
  /** Age of the knowledge in milliseconds; infinite before the first complete heartbeat. */
  ageMs(monotonicMs: number): number;
  /** The source's own time of the heartbeat that counts, seconds; minus infinity before the first. */
  beatAtS(): number;
  /** What the newest heartbeat that counts showed to be all, and to be here: numbers `keptFrom` to `through`; null before the first. */
  proven(): ProvenRun | null;
  /** Highest number that is known. */
  through(): number;
  /** For a new stream: the number after which the relay is to begin, so that what is missing comes again. */
  resume(): number;
}

/** Entries before `keptFrom` are forgotten; each from there through `through` is in force here. */
export interface ProvenRun {
  readonly keptFrom: number;
  readonly through: number;
}

/** A run of numbers that we have without gap; empty while `first` is `through` + 1. */
interface Run {
  readonly first: number;
  readonly through: number;
}

/** An empty ledger. */
export function createSourceLedger(): SourceLedger {
  let run: Run = { first: 1, through: 0 };
  /** The run before a gap, to go on from if the gap was none of the source's. */
  let before: Run = run;
  let keptFrom = 1;
  let newestBeat = 0;
  /** The best heartbeat: it was `ageMs` old when it came, at `atMs` of the monotonic clock. */
  let best: { readonly ageMs: number; readonly atMs: number; readonly beatAtS: number } | null = null;
  let proven: ProvenRun | null = null;
  const ageMs = (monotonicMs: number): number =>
    best === null ? Number.POSITIVE_INFINITY : best.ageMs + Math.max(0, monotonicMs - best.atMs);

  return {
    take(number) {
      if (number === run.through + 1) run = { first: run.first, through: number };
      else if (number > run.through) {
        // Those between may have been forgotten by the source; the next heartbeat tells.
        if (run.first <= keptFrom) before = run;
        run = { first: number, through: number };
      } else return number < run.first;
      return true;
    },
    beat(heartbeat, wallS, monotonicMs) {
      // A source that goes back has lost entries, or the relay replays an old heartbeat.
      if (heartbeat.number < newestBeat) return 'went_back';
      newestBeat = heartbeat.number;
      keptFrom = Math.max(keptFrom, heartbeat.kept_from);
      if (heartbeat.kept_from > heartbeat.number) {
        // Nothing is kept: there is nothing to have.
        if (run.through < heartbeat.number) run = { first: heartbeat.number + 1, through: heartbeat.number };
      } else if (!(run.first <= heartbeat.kept_from && run.through >= heartbeat.number)) return 'incomplete';
      proven = { keptFrom: heartbeat.kept_from, through: heartbeat.number };
      // Source's time or receipt, whichever is older; a source whose clock is ahead gains nothing (DESIGN section 6).
      const receivedAgeMs = Math.max(0, (wallS - heartbeat.at) * 1_000);
      if (!(receivedAgeMs < ageMs(monotonicMs))) return 'older';
      best = { ageMs: receivedAgeMs, atMs: monotonicMs, beatAtS: heartbeat.at };
      return 'complete';
    },
    ageMs,
    beatAtS: () => best?.beatAtS ?? Number.NEGATIVE_INFINITY,
    proven: () => proven,
    through: () => run.through,
    resume() {
      if (run.first <= keptFrom) return run.through;
      const isUseful = before.first <= keptFrom && before.through >= keptFrom - 1;
      run = isUseful ? before : { first: keptFrom, through: keptFrom - 1 };
      return run.through;
    },
  };
}
