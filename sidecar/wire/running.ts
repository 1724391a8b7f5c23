/** One call under way, as the relay keeps it, and what can be read off it. */

import type { BehalfError } from '../../errors/index.ts';
import { type ErrorCode, isErrorCode } from '../../errors/index.ts';
import { type AnswerHead, fieldOf } from '../call/head.ts';
import type { Call } from '../call/seam.ts';
import type { Answer, Asked, Asker } from './exchange.ts';
import type { Pump } from './pump.ts';
import type { FrameTracker } from './websocket/frames.ts';

/** One call under way. */
export interface Running {
  readonly asker: Asker;
  readonly call: Call;
  readonly startedMs: number;
  readonly requestPump: Pump;
  asked: Asked | null;
  /** Of a WebSocket: where frames end in what went to the asker, and to the side that answers; null for other calls. */
  readonly frames: { readonly toAsker: FrameTracker; readonly toOther: FrameTracker } | null;
  answerPump: Pump | null;
  answer: Answer | null;
  /** `waiting` for an answer, `recording` its head, `streaming` its body, `leftover` of the request after it, `done`. */
  phase: 'waiting' | 'recording' | 'streaming' | 'leftover' | 'done';
  /** When the answer was out; counts in phase `leftover`. */
  answeredMs: number;
  /** Whether an event of this call was written or is being written: there is one. */
  told: boolean;
  /** Whether a closing event is due. */
  opened: boolean;
  /** The writing of an opening event, once one was due before the answer's head. Never rejects. */
  opening: Promise<void> | null;
  /** Why the mesh ends it, once it does. */
  ending: BehalfError | null;
  gone: boolean;
}

/** Codes that say that the next one failed, not that the call was refused. */
const FAILURES: ReadonlySet<ErrorCode> = new Set(['upstream_unavailable', 'upstream_timeout', 'internal']);

export function outcomeOf(code: ErrorCode): 'failed' | 'refused' {
  return FAILURES.has(code) ? 'failed' : 'refused';
}

/** The code of an answer that is a sidecar’s own, or null. */
export function peerCode(head: AnswerHead): ErrorCode | null {
  const code = fieldOf(head.headers, 'delegation-error');
  return code !== null && isErrorCode(code) ? code : null;
}

/** gRPC status as far as it is known: in trailers, or in the head of an answer without body. */
export function grpcStatusOf(run: Running): number | null {
  if (run.asker.head.protocol !== 'grpc' || run.answer === null) return null;
  const ended = run.answer.ends ? run.answer.head.headers : run.answer.bodyTrailers();
  const status = Number(fieldOf(ended, 'grpc-status') ?? Number.NaN);
  return Number.isInteger(status) && status >= 0 && status <= 999 ? status : null;
}

let turn: Promise<void> | null = null;

/** The end of this event-loop turn, one promise for all who wait for it. */
export function turnEnd(): Promise<void> {
  turn ??= new Promise((resolve) => {
    setImmediate(() => {
      turn = null;
      resolve();
    });
  });
  return turn;
}
