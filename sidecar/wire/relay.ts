/**
 * Carries one call from the side that asked to the side that answers and back, around the hooks of `call/seam.ts`: judge,
 * send, put on record, release the head, move the rest. Bodies flow with the backpressure of both sides. A call that is
 * ended by the mesh, or whose other side breaks off, never looks finished to the asker.
 */
import type { Logger } from 'pino';
import { BehalfError, type ErrorCode, isErrorCode } from '../../errors/index.ts';
import { type AnswerHead, fieldOf, type HeaderList, type RequestHead } from '../call/head.ts';
import type { Call, CallHooks, Peer, SendFacts, Verdict } from '../call/seam.ts';
import type { Answer, Asked, Asker, Line, NoAnswer } from './exchange.ts';
import { createPump, type Pump } from './pump.ts';
import { grpcStatusFields, hideInner, refusalAnswer } from './refusal.ts';

/** Calls under way at most; the answer beyond it is `overloaded`. */
const MAX_RUNNING = 16_384;
/** Attempts of one call on other connections, each only if the one before was certainly not processed. */
const MAX_ATTEMPTS = 3;
/** A call without an answer's head for this long is put on record as going on. */
const OPENING_AFTER_MS = 1_000;
/** How often waiting calls are looked at: one sweep for all deadlines. */
const SWEEP_MS = 250;

/** A connection to a peer that takes requests. */
export interface PeerLine extends Line {
  readonly facts: SendFacts;
}

export interface RelayOptions {
  readonly hooks: CallHooks;
  readonly app: Line | null;
  /** @throws BehalfError `upstream_unavailable`, `peer_untrusted`, `overloaded` */
  peerLine(peer: Peer): Promise<PeerLine> | PeerLine;
  readonly requestTimeoutMs: number;
  /** What clients outside see of inner refusals. */
  readonly showInnerCodes: boolean;
  /** Fields beside a refusal of that code to a client outside: `WWW-Authenticate`. */
  challenge(code: ErrorCode): HeaderList;
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

/** One call under way. */
interface Running {
  readonly asker: Asker;
  readonly call: Call;
  readonly startedMs: number;
  readonly requestPump: Pump;
  asked: Asked | null;
  answerPump: Pump | null;
  answer: Answer | null;
  /** `waiting` for an answer, `recording` its head, `streaming` its body, `done`. */
  phase: 'waiting' | 'recording' | 'streaming' | 'done';
  /** Whether a closing event is due. */
  opened: boolean;
  /** Why the mesh ends it, once it does. */
  ending: BehalfError | null;
  gone: boolean;
}

export function createRelay({
  hooks,
  app,
  peerLine,
  requestTimeoutMs,
  showInnerCodes,
  challenge,
  log,
}: RelayOptions): Relay {
  const running = new Set<Running>();
  const onDrained: (() => void)[] = [];

  function carry(asker: Asker, judge: () => Verdict | Promise<Verdict>): void {
    judged(asker, judge).catch((thrown) => {
      log.error({ err: thrown }, 'call failed inside the sidecar');
      answerRefusal(asker, null, new BehalfError('internal'));
    });
  }

  async function judged(asker: Asker, judge: () => Verdict | Promise<Verdict>): Promise<void> {
    if (running.size >= MAX_RUNNING) {
      answerRefusal(asker, null, new BehalfError('overloaded'));
      return;
    }
    const verdict = await judge();
    if (verdict.kind === 'refuse') {
      await refuse(asker, verdict.call, verdict.error, 'refused', false);
      hooks.onEnd(verdict.call, null);
      return;
    }
    const { call, target } = verdict;
    const run = start(asker, call);
    try {
      const answer =
        target.kind === 'app' ? await askApp(run, verdict.head) : await askPeer(run, verdict.head, target.peer);
      await release(run, answer);
    } catch (thrown) {
      await fail(run, thrown);
    }
  }

  function start(asker: Asker, call: Call): Running {
    const run: Running = {
      asker,
      call,
      startedMs: performance.now(),
      requestPump: createPump(asker, (whole) => {
        if (whole) run.asked?.finish(hooks.strip(asker.bodyTrailers()));
        else run.asked?.cancel();
        if (run.phase === 'streaming') finishIfDone(run);
      }),
      asked: null,
      answerPump: null,
      answer: null,
      phase: 'waiting',
      opened: false,
      ending: null,
      gone: false,
    };
    running.add(run);
    asker.onGone(() => {
      if (run.phase === 'done') return;
      run.gone = true;
      run.asked?.cancel();
      if (run.phase === 'streaming') close(run, 'failed', null);
    });
    call.end = (error) => endByMesh(run, error);
    return run;
  }

  async function askApp(run: Running, head: RequestHead): Promise<Answer> {
    if (app === null) throw new BehalfError('upstream_unavailable', { why: 'no app is configured' });
    let answer = await attempt(run, app, head);
    if (mayRepeat(run, answer)) answer = await attempt(run, app, head);
    if (answer.kind === 'none') throw new BehalfError('upstream_unavailable', { to: 'app', why: answer.why });
    return answer;
  }

  async function askPeer(run: Running, head: RequestHead, peer: Peer): Promise<Answer> {
    let last: NoAnswer | null = null;
    for (let n = 0; n < MAX_ATTEMPTS; n += 1) {
      const line = await peerLine(peer);
      if (run.ending !== null) throw run.ending;
      const headers = [...head.headers, ...hooks.onSend(run.call, line.facts)];
      const answer = await attempt(run, line, { ...head, headers });
      if (answer.kind === 'answer') return refusedByPeer(run, line, answer);
      last = answer;
      if (!mayRepeat(run, answer)) break;
    }
    throw new BehalfError('upstream_unavailable', { to: peer.name, why: last?.why ?? '' });
  }

  function attempt(run: Running, line: Line, head: RequestHead): Promise<Answer | NoAnswer> {
    if (run.gone) return Promise.resolve({ kind: 'none', why: 'the caller went away', unprocessed: true });
    const { hasBody } = run.asker;
    const asked = line.ask(head, hasBody);
    run.asked = asked;
    if (hasBody) run.requestPump.attach(asked.body);
    return asked.answer;
  }

  function mayRepeat(run: Running, answer: Answer | NoAnswer): boolean {
    return (
      answer.kind === 'none' && answer.unprocessed && run.requestPump.replayable() && run.ending === null && !run.gone
    );
  }

  /** A sidecar that refuses says so in a field that apps cannot set; its own body goes on to our app as it is. */
  function refusedByPeer(run: Running, line: PeerLine, answer: Answer): Answer {
    const code = hooks.onPeerAnswer(run.call, line.facts, answer.head);
    if (code === null) return answer;
    if (run.call.audience === 'outside' && !showInnerCodes) {
      run.asked?.cancel();
      throw new BehalfError(code, { refusedBy: 'peer' });
    }
    return answer;
  }

  /** Puts the answer's head on record, then gives it away. */
  async function release(run: Running, answer: Answer): Promise<void> {
    if (run.ending !== null) throw run.ending;
    run.phase = 'recording';
    run.answer = answer;
    run.requestPump.commit();
    const pump = answer.ends
      ? null
      : createPump(answer, (whole) => {
          if (!whole) breakOff(run, 'failed', new BehalfError('upstream_unavailable', { why: 'the answer broke off' }));
          else finishIfDone(run);
        });
    run.answerPump = pump;
    if (answer.ends) answer.body.resume();
    // The rest of a short answer comes with its head; then one event says it all.
    if (pump !== null && !run.opened) await turnEnd();
    const goesOn = !(pump === null || pump.ended()) || (run.asker.hasBody && !run.requestPump.ended());
    const code = peerCode(answer.head);
    if (!run.opened) {
      run.opened = goesOn;
      await hooks.onHead(run.call, {
        outcome: code === null ? 'forwarded' : outcomeOf(code),
        code,
        byPeer: code !== null,
        httpStatus: answer.head.status,
        grpcStatus: grpcStatusOf(run),
        goesOn,
      });
    }
    if (run.ending !== null && !run.asker.started()) throw run.ending;
    giveAway(run, answer, pump);
  }

  /** The answer goes to the asker: in one piece where it is all there, else its head and then the rest as it comes. */
  function giveAway(run: Running, answer: Answer, pump: Pump | null): void {
    const headers = [...hooks.strip(answer.head.headers), ...hooks.answerFields(run.call)];
    const head = { status: answer.head.status, headers };
    run.phase = 'streaming';
    const all = pump === null || answer.bodyTrailers().length > 0 ? null : pump.takeAll();
    if (all !== null) {
      run.asker.sendAll(head, all);
      close(run, 'forwarded', null);
      return;
    }
    run.asker.sendHead(head, answer.ends);
    if (pump !== null) {
      pump.commit();
      pump.attach(run.asker.answer);
    } else {
      close(run, 'forwarded', null);
    }
  }

  /** The call failed or was refused before its answer's head was given away. */
  async function fail(run: Running, thrown: unknown): Promise<void> {
    const seen = run.ending ?? thrown;
    const error = seen instanceof BehalfError ? seen : new BehalfError('internal', {}, { cause: seen });
    if (error.code === 'internal') log.error({ err: seen }, 'call failed inside the sidecar');
    const outcome = outcomeOf(error.code);
    run.asked?.cancel();
    run.answerPump?.stop();
    if (run.opened || error.code === 'audit_unavailable') {
      // It stands on record as going on: its closing event tells the rest.
      if (!run.gone) answerRefusal(run.asker, run.call, error);
    } else {
      const byPeer = error.detail['refusedBy'] === 'peer';
      await refuse(run.asker, run.call, run.gone ? null : error, outcome, byPeer);
    }
    close(run, outcome === 'failed' || run.gone ? 'failed' : 'ended', run.gone ? null : error.code);
  }

  /** Records a refusal or failure, then answers it; `error` is null where nobody is left to answer. */
  async function refuse(
    asker: Asker,
    call: Call,
    error: BehalfError | null,
    outcome: 'refused' | 'failed',
    byPeer: boolean,
  ): Promise<void> {
    let told = error;
    try {
      await hooks.onHead(call, {
        outcome,
        code: error?.code ?? null,
        byPeer,
        httpStatus: error === null ? 0 : refusalAnswer(error, describe(asker, call, error)).head.status,
        grpcStatus: null,
        goesOn: false,
      });
    } catch (thrown) {
      told = thrown instanceof BehalfError ? thrown : new BehalfError('internal');
    }
    if (told !== null) answerRefusal(asker, call, told);
  }

  function answerRefusal(asker: Asker, call: Call | null, error: BehalfError): void {
    if (asker.started()) {
      asker.breakOff(null);
      return;
    }
    const outside = call?.audience === 'outside';
    const shown = outside && !showInnerCodes ? hideInner(error) : error;
    const { head, body } = refusalAnswer(shown, describe(asker, call, error));
    asker.sendWhole(head, body);
  }

  function describe(asker: Asker, call: Call | null, error: BehalfError) {
    return {
      audience: call?.audience ?? 'app',
      protocol: asker.head.protocol,
      hop: call?.hop ?? null,
      fields: call?.audience === 'outside' ? challenge(error.code) : [],
    } as const;
  }

  function finishIfDone(run: Running): void {
    if (run.phase !== 'streaming') return;
    const answered = run.answerPump === null || run.answerPump.ended();
    if (!answered) return;
    if (run.answerPump !== null) run.asker.finish(hooks.strip((run.answer as Answer).bodyTrailers()));
    close(run, 'forwarded', null);
  }

  function endByMesh(run: Running, error: BehalfError): void {
    if (run.phase === 'done' || run.ending !== null) return;
    run.ending = error;
    if (run.phase === 'streaming') breakOff(run, 'ended', error);
    else run.asked?.cancel();
  }

  function breakOff(run: Running, outcome: 'failed' | 'ended', error: BehalfError): void {
    if (run.phase !== 'streaming') return;
    run.answerPump?.stop();
    run.asked?.cancel();
    run.asker.breakOff(run.asker.head.protocol === 'grpc' ? grpcStatusFields(error, run.call.hop) : null);
    close(run, outcome, error.code);
  }

  function close(run: Running, outcome: 'forwarded' | 'failed' | 'ended', code: ErrorCode | null): void {
    if (run.phase === 'done') return;
    run.phase = 'done';
    running.delete(run);
    run.call.end = null;
    const ended = run.opened
      ? {
          outcome,
          code,
          grpcStatus: grpcStatusOf(run),
          bytesIn: run.requestPump.bytes(),
          bytesOut: run.answerPump?.bytes() ?? 0,
        }
      : null;
    hooks.onEnd(run.call, ended);
    if (running.size === 0) for (const done of onDrained.splice(0)) done();
  }

  /** One look at every call that still waits: those past a second go on record, those past their time are over. */
  function sweep(): void {
    const nowMs = performance.now();
    for (const run of running) {
      const waitedMs = nowMs - run.startedMs;
      // Calls stand in the order of their start: those after it are younger.
      if (waitedMs < OPENING_AFTER_MS) break;
      if (run.phase !== 'waiting') continue;
      if (!run.opened) openingEvent(run);
      // A gRPC stream may say nothing, not even a head, until there is news; its client sets its own deadline.
      const hasDeadline = run.asker.head.protocol !== 'grpc';
      if (hasDeadline && waitedMs > requestTimeoutMs && run.ending === null) {
        run.ending = new BehalfError('upstream_timeout', { afterMs: requestTimeoutMs });
        run.asked?.cancel();
      }
    }
  }

  function openingEvent(run: Running): void {
    run.opened = true;
    hooks
      .onHead(run.call, {
        outcome: 'forwarded',
        code: null,
        byPeer: false,
        httpStatus: 0,
        grpcStatus: null,
        goesOn: true,
      })
      .catch((thrown) => {
        run.ending ??= thrown instanceof BehalfError ? thrown : new BehalfError('internal');
        run.asked?.cancel();
      });
  }

  const sweeper = setInterval(sweep, SWEEP_MS);
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

/** Codes that say that the next one failed, not that the call was refused. */
const FAILURES: ReadonlySet<ErrorCode> = new Set(['upstream_unavailable', 'upstream_timeout', 'internal']);

function outcomeOf(code: ErrorCode): 'failed' | 'refused' {
  return FAILURES.has(code) ? 'failed' : 'refused';
}

function peerCode(head: AnswerHead): ErrorCode | null {
  const code = fieldOf(head.headers, 'delegation-error');
  return code !== null && isErrorCode(code) ? code : null;
}

/** gRPC status as far as it is known: in trailers, or in the head of an answer without body. */
function grpcStatusOf(run: Running): number | null {
  if (run.asker.head.protocol !== 'grpc' || run.answer === null) return null;
  const ended = run.answer.ends ? run.answer.head.headers : run.answer.bodyTrailers();
  const status = Number(fieldOf(ended, 'grpc-status') ?? Number.NaN);
  return Number.isInteger(status) && status >= 0 && status <= 999 ? status : null;
}

let turn: Promise<void> | null = null;

/** The end of this event-loop turn, one promise for all who wait for it. */
function turnEnd(): Promise<void> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = null;
      resolve();
    });
  });
  return turn;
}
