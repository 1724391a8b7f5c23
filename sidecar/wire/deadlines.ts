/** Time limits of calls that wait for their answer: one coarse look at all of them, instead of a timer a call. */
import { BehalfError } from '../../errors/index.ts';
import type { Running } from './running.ts';

/** A call without an answer's head for this long is put on record as going on. */
const OPENING_AFTER_MS = 1_000;
/** A request's body may go on for so long after its answer is out. */
const LEFTOVER_BODY_MS = 5_000;

export interface WaitLimits {
  readonly requestTimeoutMs: number;
  onSlow(run: Running): void;
  /** The request's body goes on for too long after the answer. */
  onLeftover(run: Running): void;
}

/** `running` is in the order of start, so that the look ends at the first young one. */
export function sweepWaiting(running: Iterable<Running>, { requestTimeoutMs, onSlow, onLeftover }: WaitLimits): void {
  const nowMs = performance.now();
  for (const run of running) {
    const waitedMs = nowMs - run.startedMs;
    if (waitedMs < OPENING_AFTER_MS) return;
    if (run.phase === 'leftover' && nowMs - run.answeredMs > LEFTOVER_BODY_MS) onLeftover(run);
    if (run.phase !== 'waiting') continue;
    if (run.opening === null) onSlow(run);
    // A gRPC stream may say nothing, not even a head, until there is news; its client sets its own deadline.
    const hasDeadline = run.asker.head.protocol !== 'grpc';
    if (hasDeadline && waitedMs > requestTimeoutMs && run.ending === null) {
      run.ending = new BehalfError('upstream_timeout', { afterMs: requestTimeoutMs });
      run.asked?.cancel();
    }
  }
}
