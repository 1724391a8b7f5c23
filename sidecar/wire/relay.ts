/**
 * Carries one call from the side that asked to the side that answers and back, around the hooks of `call/seam.ts`: judge,
 * send, put on record, release the head, move the rest. Bodies flow with the backpressure of both sides. A call that is
 * ended by the mesh, or whose other side breaks off, never looks finished to the asker.
 */
import type { Logger } from 'pino';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { RequestHead } from '../call/head.ts';
import type { Call, CallHooks, Peer, SendFacts, Verdict } from '../call/seam.ts';
import { sweepWaiting } from './deadlines.ts';
import type { Answer, Asker, Line, NoAnswer } from './exchange.ts';
import { headBytes, MAX_MESH_HEAD_BYTES } from './fields.ts';
import { createPump, type Pump } from './pump.ts';
import { createRefuser, grpcStatusFields, type RefuserOptions } from './refusal.ts';
import { grpcStatusOf, outcomeOf, peerCode, type Running, turnEnd } from './running.ts';

/** Calls under way at most; the answer beyond it is `overloaded`. */
const MAX_RUNNING = 16_384;
/** Attempts of one call on other connections, each only if the one before was certainly not processed. */
const MAX_ATTEMPTS = 3;
/** How often waiting calls are looked at: one sweep for all deadlines. */
const SWEEP_MS = 250;

/** A connection to a peer that takes requests. */
export interface PeerLine extends Line {
  readonly facts: SendFacts;
}

export interface RelayOptions extends RefuserOptions {
  readonly hooks: CallHooks;
  readonly app: Line | null;
  /** @throws BehalfError `upstream_unavailable`, `peer_untrusted`, `overloaded` */
  peerLine(peer: Peer): Promise<PeerLine> | PeerLine;
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

export function createRelay({
  hooks,
  app,
  peerLine,
  requestTimeoutMs,
  showInnerCodes,
  challenge,
  log,
}: RelayOptions): Relay {
  const refusals = createRefuser({ showInnerCodes, challenge });
  const running = new Set<Running>();
  const onDrained: (() => void)[] = [];

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
    if (verdict.kind === 'refuse') {
      await refuse(asker, verdict.call, verdict.error, 'refused', false);
      hooks.onEnd(verdict.call, null);
      return;
    }
    const { call, target } = verdict;
    const run = start(asker, call);
    try {
      if (run.ending !== null) throw run.ending;
      const answer =
        target.kind === 'app' ? await askApp(run, verdict.head) : await askPeer(run, verdict.head, target.peer);
      await release(run, answer, target.kind === 'peer');
    } catch (thrown) {
      await fail(run, thrown);
    }
  }

  /** INVARIANT: never throws: what went wrong with a call has been told, and its asker may be in any state. */
  function sendRefusal(asker: Asker, call: Call | null, error: BehalfError): void {
    try {
      refusals.send(asker, call, error);
      if (asker.hasBody) asker.dropBody();
    } catch (thrown) {
      log.warn({ err: thrown, code: error.code }, 'a refusal could not be sent');
      asker.breakOff(null);
    }
  }

  function start(asker: Asker, call: Call): Running {
    const run: Running = {
      asker,
      call,
      startedMs: performance.now(),
      requestPump: createPump(asker, (whole) => {
        if (whole) finishRequest(run);
        else run.asked?.cancel();
        finishIfDone(run);
      }),
      asked: null,
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
      const bytes = headBytes(headers) + head.target.length + head.authority.length;
      if (bytes > MAX_MESH_HEAD_BYTES) throw new BehalfError('delegation_too_large', { object: 'head', size: bytes });
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
  async function release(run: Running, answer: Answer, byPeer: boolean): Promise<void> {
    if (run.ending !== null) throw run.ending;
    checkStatus(answer);
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
    if (pump !== null && run.opening === null) await turnEnd();
    const goesOn = !(pump === null || pump.ended()) || (run.asker.hasBody && !run.requestPump.ended());
    // Only a sidecar is believed to speak for the mesh, never an app.
    const code = byPeer ? peerCode(answer.head) : null;
    if (run.opening !== null) await run.opening;
    if (!run.opened) {
      run.told = true;
      await hooks.onHead(run.call, {
        outcome: code === null ? 'forwarded' : outcomeOf(code),
        code,
        byPeer: code !== null,
        httpStatus: answer.head.status,
        grpcStatus: grpcStatusOf(run),
        goesOn,
      });
      run.opened = goesOn;
    }
    // What was ended meanwhile does not go out, unless it is already whole and on record as such.
    if (run.ending !== null && run.opened) throw run.ending;
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
      answered(run);
      return;
    }
    run.asker.sendHead(head, answer.ends);
    if (pump !== null) {
      pump.commit();
      pump.attach(run.asker.answer);
    } else {
      answered(run);
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
    // An opening event that is being written needs its closing one.
    if (run.opening !== null) await run.opening;
    if (run.told || run.opened || error.code === 'audit_unavailable') {
      // It stands on record: where it goes on, its closing event tells the rest.
      if (!run.gone) sendRefusal(run.asker, run.call, error);
    } else {
      run.told = true;
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
        httpStatus: error === null ? 0 : refusals.status(asker, call, error),
        grpcStatus: null,
        goesOn: false,
      });
    } catch (thrown) {
      told = thrown instanceof BehalfError ? thrown : new BehalfError('internal');
    }
    if (told !== null) sendRefusal(asker, call, told);
  }

  function finishIfDone(run: Running): void {
    if (run.phase === 'leftover') {
      if (run.requestPump.ended() || run.requestPump.broken()) close(run, 'forwarded', null);
      return;
    }
    if (run.phase !== 'streaming' || run.answerPump === null || !run.answerPump.ended()) return;
    run.asker.finish(hooks.strip((run.answer as Answer).bodyTrailers()));
    answered(run);
  }

  /** The answer is out. A request's body that still comes belongs to the call, which may be ended by the mesh until it is through. */
  function answered(run: Running): void {
    const { requestPump, asker } = run;
    if (!asker.hasBody || requestPump.ended() || requestPump.broken()) {
      close(run, 'forwarded', null);
      return;
    }
    run.phase = 'leftover';
    run.answeredMs = performance.now();
  }

  function endByMesh(run: Running, error: BehalfError): void {
    if (run.phase === 'done' || run.ending !== null) return;
    run.ending = error;
    if (run.phase === 'streaming' || run.phase === 'leftover') breakOff(run, 'ended', error);
    else run.asked?.cancel();
  }

  function breakOff(run: Running, outcome: 'failed' | 'ended', error: BehalfError): void {
    if (run.phase !== 'streaming' && run.phase !== 'leftover') return;
    run.answerPump?.stop();
    run.asked?.cancel();
    const trailers = run.phase === 'streaming' && run.asker.head.protocol === 'grpc';
    try {
      run.asker.breakOff(trailers ? grpcStatusFields(error, run.call.hop) : null);
    } finally {
      close(run, outcome, error.code);
    }
  }

  function close(run: Running, outcome: 'forwarded' | 'failed' | 'ended', code: ErrorCode | null): void {
    if (run.phase === 'done') return;
    const { phase, requestPump, asker } = run;
    run.phase = 'done';
    running.delete(run);
    run.call.end = null;
    if (asker.hasBody && !requestPump.ended()) {
      run.asked?.cancel();
      if (phase === 'leftover') asker.dropBody();
    }
    requestPump.stop();
    const ended = run.opened
      ? {
          outcome,
          code,
          grpcStatus: grpcStatusOf(run),
          bytesIn: requestPump.bytes(),
          bytesOut: run.answerPump?.bytes() ?? 0,
        }
      : null;
    hooks.onEnd(run.call, ended);
    if (running.size === 0) for (const done of onDrained.splice(0)) done();
  }

  /** A call that waits longer than a second for its answer stands on record from then on. */
  function openingEvent(run: Running): void {
    const nothingYet = { code: null, byPeer: false, httpStatus: 0, grpcStatus: null } as const;
    run.told = true;
    run.opening = hooks.onHead(run.call, { outcome: 'forwarded', ...nothingYet, goesOn: true }).then(
      () => {
        run.opened = true;
      },
      (thrown) => {
        run.ending ??= thrown instanceof BehalfError ? thrown : new BehalfError('internal');
        run.asked?.cancel();
      },
    );
  }

  const sweeper = setInterval(
    () =>
      sweepWaiting(running, {
        requestTimeoutMs,
        onSlow: openingEvent,
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

/** UNTRUSTED: an app's status, which neither protocol could say to the asker. @throws {BehalfError} `upstream_unavailable` */
function checkStatus({ head: { status } }: Answer): void {
  if (!(status >= 200 && status <= 599))
    throw new BehalfError('upstream_unavailable', { why: 'status of the answer', status });
}
