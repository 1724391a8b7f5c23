/**
 * Carries one call from the side that asked to the side that answers and back, around the hooks of `call/seam.ts`: judge,
 * send, put on record, release the head, move the rest. Bodies flow with the backpressure of both sides. A call that is
 * ended by the mesh, or whose other side breaks off, never looks finished to the asker.
 */
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { Call, Verdict } from '../call/seam.ts';
import { type AnsweringOptions, createAnswering } from './answering.ts';
import { type AskingOptions, createAsking } from './asking.ts';
import { sweepWaiting } from './deadlines.ts';
import type { Asker } from './exchange.ts';
import { createPump } from './pump.ts';
import type { Running } from './running.ts';
import { createFrameTracker } from './websocket/frames.ts';

/** Calls under way at most; the answer beyond it is `overloaded`. */
const MAX_RUNNING = 16_384;
/** How often waiting calls are looked at: one sweep for all deadlines. */
const SWEEP_MS = 250;

export interface RelayOptions extends AskingOptions, Omit<AnsweringOptions, 'onClosed'> {
  readonly requestTimeoutMs: number;
  readonly log: Logger;
}

export interface Relay {
  /** Carries one call; never throws. */
  carry(asker: Asker, judge: () => Verdict | Promise<Verdict>): void;
  running(): number;
  /** Resolves when no call runs, or after `withinMs`. */
  drained(withinMs: number): Promise<void>;
  close(): void;
}

export function createRelay(options: RelayOptions): Relay {
  const { hooks, requestTimeoutMs, log } = options;
  const asking = createAsking(options);
  const answering = createAnswering({ ...options, onClosed });
  const { sendRefusal, refuse, release, fail, finishIfDone, endByMesh, close } = answering;
  const running = new Set<Running>();
  const onDrained: (() => void)[] = [];

  function onClosed(run: Running): void {
    running.delete(run);
    if (running.size === 0) for (const done of onDrained.splice(0)) done();
  }

  function carry(asker: Asker, judge: () => Verdict | Promise<Verdict>): void {
    judged(asker, judge).catch((thrown) => {
      log.error({ err: thrown }, 'call failed inside the sidecar');
      sendRefusal(asker, null, new BehalfError('internal'));
    });
  }

  async function judged(asker: Asker, judge: () => Verdict | Promise<Verdict>): Promise<void> {
    if (running.size >= MAX_RUNNING) {
      sendRefusal(asker, null, new BehalfError('overloaded'));
      return;
    }
    const verdict = await judge();
    if (verdict.kind === 'answer') {
      asker.sendWhole(verdict.head, verdict.body);
      if (asker.hasBody) asker.dropBody();
      return;
    }
    if (verdict.kind === 'refuse') {
      await refuse(asker, verdict.call, verdict.error, 'refused', false);
      hooks.onEnd(verdict.call, null);
      return;
    }
    const { call, target } = verdict;
    const run = start(asker, call);
    try {
      if (run.ending !== null) throw run.ending;
      const answer = await asking.ask(run, verdict.head, target);
      await release(run, answer, target.kind === 'peer');
    } catch (thrown) {
      await fail(run, thrown);
    }
  }

  function start(asker: Asker, call: Call): Running {
    const frames =
      asker.head.protocol === 'websocket' ? { toAsker: createFrameTracker(), toOther: createFrameTracker() } : null;
    const run: Running = {
      asker,
      call,
      startedMs: performance.now(),
      requestPump: createPump(
        asker,
        (whole) => {
          if (whole) finishRequest(run);
          else run.asked?.cancel();
          finishIfDone(run);
        },
        frames?.toOther.feed,
      ),
      asked: null,
      frames,
      answerPump: null,
      answer: null,
      phase: 'waiting',
      answeredMs: 0,
      told: false,
      opened: false,
      opening: null,
      ending: null,
      gone: false,
    };
    running.add(run);
    asker.onGone(() => {
      if (run.phase === 'done') return;
      run.gone = true;
      run.asked?.cancel();
      if (run.phase === 'streaming' || run.phase === 'leftover') close(run, 'failed', null);
    });
    call.end = (error) => endByMesh(run, error);
    if (call.ending !== null) endByMesh(run, call.ending);
    return run;
  }

  /** The request's body is whole, and its trailers are there. */
  function finishRequest(run: Running): void {
    const trailers = run.asker.bodyTrailers();
    const defect = trailers.length === 0 ? null : hooks.trailerDefect(run.call, trailers);
    if (defect === null) run.asked?.finish(hooks.strip(trailers));
    else endByMesh(run, defect);
  }

  const sweeper = setInterval(
    () =>
      sweepWaiting(running, {
        requestTimeoutMs,
        onSlow: answering.openingEvent,
        onLeftover: (run) => close(run, 'forwarded', null),
      }),
    SWEEP_MS,
  );
  sweeper.unref();

  return {
    carry,
    running: () => running.size,
    drained(withinMs) {
      if (running.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const late = setTimeout(resolve, withinMs);
        onDrained.push(() => {
          clearTimeout(late);
          resolve();
        });
      });
    },
    close() {
      clearInterval(sweeper);
      for (const run of running)
        endByMesh(run, new BehalfError('upstream_unavailable', { why: 'the sidecar is stopping' }));
    },
  };
}
