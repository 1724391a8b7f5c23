/**
 * The second phase of a call in the relay: its answer's head goes on record and is given away, the rest follows as it comes.
 * Every way in which a call ends is here too: whole, refused, failed, broken off by the mesh. None but the first looks whole.
 */
import type { Logger } from 'pino';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { Call, CallHooks } from '../call/seam.ts';
import type { Answer, Asker } from './exchange.ts';
import { createPump, type Pump } from './pump.ts';
import { createRefuser, grpcStatusFields, type RefuserOptions } from './refusal.ts';
import { grpcStatusOf, outcomeOf, peerCode, type Running, turnEnd } from './running.ts';
import { closeFrame } from './websocket/frames.ts';
import { SWITCHING_PROTOCOLS } from './websocket/handshake.ts';

export interface AnsweringOptions extends RefuserOptions {
  readonly hooks: CallHooks;
  /** The call is over, and its end told. */
  onClosed(run: Running): void;
  readonly log: Logger;
}

export interface Answering {
  /** Answers a call that never ran. INVARIANT: never throws: what went wrong has been told, and its asker may be in any state. */
  sendRefusal(asker: Asker, call: Call | null, error: BehalfError): void;
  /** Records a refusal or failure, then answers it; `error` is null where nobody is left to answer. */
  refuse(
    asker: Asker,
    call: Call,
    error: BehalfError | null,
    outcome: 'refused' | 'failed',
    byPeer: boolean,
  ): Promise<void>;
  /** Puts the answer's head on record, then gives it away. @throws {BehalfError} where it must not go out */
  release(run: Running, answer: Answer, byPeer: boolean): Promise<void>;
  /** The call failed or was refused before its answer's head was given away. */
  fail(run: Running, thrown: unknown): Promise<void>;
  /** To be called when the body of either side has ended. */
  finishIfDone(run: Running): void;
  /** The mesh ends the call with a code, in whatever phase it is. */
  endByMesh(run: Running, error: BehalfError): void;
  close(run: Running, outcome: 'forwarded' | 'failed' | 'ended', code: ErrorCode | null): void;
  /** A call that waits longer than a second for its answer stands on record from then on. */
  openingEvent(run: Running): void;
}

export function createAnswering({ hooks, showInnerCodes, onClosed, log }: AnsweringOptions): Answering {
  const refusals = createRefuser({ showInnerCodes });

  function sendRefusal(asker: Asker, call: Call | null, error: BehalfError): void {
    try {
      refusals.send(asker, call, error);
      if (asker.hasBody) asker.dropBody();
    } catch (thrown) {
      log.warn({ err: thrown, code: error.code }, 'a refusal could not be sent');
      asker.breakOff(null);
    }
  }

  async function release(run: Running, answer: Answer, byPeer: boolean): Promise<void> {
    if (run.ending !== null) throw run.ending;
    checkStatus(run, answer);
    run.phase = 'recording';
    run.answer = answer;
    run.requestPump.commit();
    const pump = answer.ends
      ? null
      : createPump(
          answer,
          (whole) => {
            if (!whole)
              breakOff(run, 'failed', new BehalfError('upstream_unavailable', { why: 'the answer broke off' }));
            else finishIfDone(run);
          },
          run.frames?.toAsker.feed,
        );
    run.answerPump = pump;
    if (answer.ends) answer.body.resume();
    // The rest of a short answer comes with its head; then one event says it all.
    if (pump !== null && run.opening === null) await turnEnd();
    const goesOn = !(pump === null || pump.ended()) || (goesOnAsking(run) && !run.requestPump.ended());
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
    const inParts = pump === null || answer.tunnel !== null || answer.bodyTrailers().length > 0;
    const all = inParts ? null : pump.takeAll();
    if (all !== null) {
      run.asker.sendAll(head, all);
      answered(run);
      return;
    }
    run.asker.sendHead(head, answer.ends);
    if (pump !== null) {
      pump.commit();
      pump.attach(run.asker.answer);
      if (answer.tunnel !== null) run.requestPump.attach(answer.tunnel);
    } else {
      answered(run);
    }
  }

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
    const { requestPump } = run;
    if (!goesOnAsking(run) || requestPump.ended() || requestPump.broken()) {
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
    if (outcome === 'ended' && isOpenWebSocket(run)) {
      endFrames(run, error.code);
      close(run, outcome, error.code);
      return;
    }
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
    run.call.end = null;
    const isWebSocket = isOpenWebSocket(run);
    if (asker.hasBody && !requestPump.ended() && !(isWebSocket && outcome === 'ended')) {
      run.asked?.cancel();
      if (phase === 'leftover' || (run.frames !== null && !isWebSocket)) asker.dropBody();
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
    onClosed(run);
  }

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

  return { sendRefusal, refuse, release, fail, finishIfDone, endByMesh, close, openingEvent };
}

/** Whether what the asker sends after its head belongs to the call: a WebSocket that was not granted has nothing more to say. */
function goesOnAsking({ asker, frames, answer }: Running): boolean {
  return asker.hasBody && (frames === null || (answer !== null && answer.tunnel !== null));
}

function isOpenWebSocket({ frames, answer }: Running): boolean {
  return frames !== null && answer !== null && answer.tunnel !== null;
}

/** The mesh ends a WebSocket: a Close with the code where a frame may follow (WIRE section 4), else that end is broken off. */
function endFrames({ asker, asked, frames }: Running, code: ErrorCode): void {
  if (frames === null) return;
  const { toAsker, toOther } = frames;
  if (toOther.between()) asked?.endWith(closeFrame(code, true));
  else if (toOther.closed()) asked?.endWith(NOTHING);
  else asked?.cancel();
  if (toAsker.between()) asker.endWith(closeFrame(code, false));
  else if (toAsker.closed()) asker.endWith(NOTHING);
  else asker.breakOff(null);
}

const NOTHING = Buffer.alloc(0);

/**
 * UNTRUSTED: an app's status, which neither protocol could say to the asker. 101 is for who asked for a WebSocket, and who asked for
 * one gets nothing that HTTP/2 would take for it.
 * @throws {BehalfError} `upstream_unavailable`
 */
function checkStatus({ frames }: Running, { head: { status }, tunnel }: Answer): void {
  const isGranted = status === SWITCHING_PROTOCOLS && tunnel !== null && frames !== null;
  if (!isGranted && !(status >= (frames === null ? 200 : 300) && status <= 599))
    throw new BehalfError('upstream_unavailable', { why: 'status of the answer', status });
}
