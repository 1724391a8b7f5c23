/**
 * What the relay sees of both sides of one call: the side that asked and the side that answers, each over HTTP/1.1 or
 * HTTP/2. The files of `http1/` and `http2/` make these of Node's objects; nothing else touches those objects.
 */
import { type Readable, Writable } from 'node:stream';
import type { AnswerHead, HeaderList, RequestHead } from '../call/head.ts';

/** The side that asked. */
export interface Asker {
  readonly head: RequestHead;
  /** Whether a body follows the head. */
  readonly hasBody: boolean;
  readonly body: Readable;
  /** Whether a body that has ended came to its own end, and was not cut off: Node’s `end` does not tell. */
  bodyIsWhole(): boolean;
  /** Trailers of the body; complete once it has ended. */
  bodyTrailers(): HeaderList;
  /** Where the answer's body goes after `sendHead` with `ends` false. */
  readonly answer: Writable;
  sendHead(head: AnswerHead, ends: boolean): void;
  /** An answer of our own with its whole body, such as a refusal; its length is added. */
  sendWhole(head: AnswerHead, body: Buffer): void;
  /** An answer of the other side that is all there, in one piece. */
  sendAll(head: AnswerHead, body: readonly Buffer[]): void;
  /** Ends the answer's body; without trailers where the list is empty. */
  finish(trailers: HeaderList): void;
  /** Nobody reads the rest of the body: it is thrown away, and the asker cut off if it does not end soon. Call it after the answer. */
  dropBody(): void;
  /** Whether any part of the answer was given away. */
  started(): boolean;
  /** Breaks the answer off so that nobody takes it for whole (WIRE section 4). Trailers are for gRPC only. */
  breakOff(trailers: HeaderList | null): void;
  /** Ends a WebSocket after these bytes, its last frame. Who does not take them soon is broken off. */
  endWith(last: Buffer): void;
  /** The asker went away before the answer ended. At most one listener. */
  onGone(listener: () => void): void;
}

/** The answer of the other side, head first. */
export interface Answer {
  readonly kind: 'answer';
  readonly head: AnswerHead;
  /** Whether the head is all of it. */
  readonly ends: boolean;
  readonly body: Readable;
  bodyIsWhole(): boolean;
  bodyTrailers(): HeaderList;
  /** Where the asker's bytes go once the answer is 101, a WebSocket; null for every other answer. */
  readonly tunnel: Writable | null;
}

/** Why there is no answer. `unprocessed`: the other side certainly did nothing with it, so that trying again is safe. */
export interface NoAnswer {
  readonly kind: 'none';
  readonly why: string;
  readonly unprocessed: boolean;
}

/** What a request that we cancel ourselves ends with. */
export const CANCELLED: NoAnswer = { kind: 'none', why: 'cancelled', unprocessed: false };

/** One request under way to the side that answers. */
export interface Asked {
  /** Where the request's body goes; only where one was announced. */
  readonly body: Writable;
  /** Ends the request's body. */
  finish(trailers: HeaderList): void;
  /** Never rejects. */
  readonly answer: Promise<Answer | NoAnswer>;
  /** Settles `answer` at once where there is none yet, whatever the other side does. */
  cancel(): void;
  /** As the asker's. */
  endWith(last: Buffer): void;
}

/** Takes a body that nobody will read. */
export const DEAD_END = new Writable({ write: (_chunk, _encoding, done) => done() });

/** Something that takes requests: a connection to a peer or to the app. */
export interface Line {
  ask(head: RequestHead, hasBody: boolean): Asked;
}
