/**
 * Where one frame of a WebSocket ends and the next begins (RFC 6455 section 5.2), so that a Close can be put between two frames of
 * a stream that the mesh ends. Counts bytes and looks at heads only: payloads, masks and extensions pass as they are.
 */
import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '../../../errors/index.ts';

const CLOSE = 0x8;
const FIN = 0x80;
const MASKED = 0x80;
/** RFC 6455 section 7.4.1: an endpoint that goes away, and a message that breaks a policy. */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
/** Length of a frame's head without extended length and masking key. */
const SHORTEST_HEAD = 2;

/** One direction of one WebSocket. */
export interface FrameTracker {
  /** Takes the bytes that were written, in order. */
  feed(chunk: Buffer): void;
  /** Whether the last byte was the last of a frame, or none came yet, and no Close has gone by: one more frame may follow. */
  between(): boolean;
  /** Whether a Close has gone by whole: nothing may follow (RFC 6455 section 5.5.1). */
  closed(): boolean;
}

export function createFrameTracker(): FrameTracker {
  /** Bytes of the payload still to come. */
  let payload = 0;
  /** Bytes of the head seen, how many it has as far as known, and what was read of it. */
  let seen = 0;
  let headLength = SHORTEST_HEAD;
  let opcode = 0;
  let length = 0;
  let sawClose = false;
  /** Not WebSocket: no boundary is known any more. */
  let lost = false;

  function readHeadByte(byte: number): void {
    if (seen === 0) opcode = byte & 0xf;
    else if (seen === 1) {
      const short = byte & 0x7f;
      const extended = short === 127 ? 8 : short === 126 ? 2 : 0;
      headLength = SHORTEST_HEAD + extended + ((byte & MASKED) === 0 ? 0 : 4);
      length = extended === 0 ? short : 0;
      lengthEnd = SHORTEST_HEAD + extended;
    } else if (seen < lengthEnd) {
      length = length * 256 + byte;
      // UNTRUSTED: what no integer here can count.
      if (!Number.isSafeInteger(length)) lost = true;
    }
    seen += 1;
  }
  let lengthEnd = SHORTEST_HEAD;

  function endHead(): void {
    payload = length;
    seen = 0;
    headLength = SHORTEST_HEAD;
    if (payload === 0) endFrame();
  }

  function endFrame(): void {
    if (opcode === CLOSE) sawClose = true;
  }

  return {
    feed(chunk) {
      let at = 0;
      while (at < chunk.length && !lost) {
        if (payload > 0) {
          const part = Math.min(payload, chunk.length - at);
          at += part;
          payload -= part;
          if (payload === 0) endFrame();
          continue;
        }
        readHeadByte(chunk[at] as number);
        at += 1;
        if (seen === headLength) endHead();
      }
    },
    between: () => payload === 0 && seen === 0 && !lost && !sawClose,
    closed: () => sawClose && payload === 0 && seen === 0 && !lost,
  };
}

/**
 * A Close that says why the mesh ends a stream: 1008 with the code as reason, 1001 where it is the sidecar itself that goes away.
 * What goes to the server's end is masked, as all that clients send (RFC 6455 section 5.3).
 */
export function closeFrame(code: ErrorCode, masked: boolean): Buffer {
  const payload = Buffer.alloc(2 + code.length);
  payload.writeUInt16BE(code === 'upstream_unavailable' ? GOING_AWAY : POLICY_VIOLATION);
  payload.write(code, 2, 'latin1');
  const head = [FIN | CLOSE, payload.length | (masked ? MASKED : 0)];
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  const mask = randomBytes(4);
  for (let i = 0; i < payload.length; i += 1) payload[i] = (payload[i] as number) ^ (mask[i % 4] as number);
  return Buffer.concat([Buffer.from(head), mask, payload]);
}
