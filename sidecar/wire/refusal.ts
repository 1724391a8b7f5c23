/**
 * A refusal as each protocol says it (WIRE section 4): a problem document (RFC 9457) over HTTP, status and details over
 * gRPC. Decides what a client outside the mesh is told.
 */

import { grpcAnswerOf, STATUS_DETAILS_KEY } from '../../errors/grpc-status.ts';
import { BehalfError, ERROR_TABLE, type ErrorCode, PROBLEM_CONTENT_TYPE, problemBody } from '../../errors/index.ts';
import type { AnswerHead, HeaderList, RequestHead } from '../call/head.ts';
import type { Audience, Call } from '../call/seam.ts';
import type { Asker } from './exchange.ts';

export interface RefusalAnswer {
  readonly head: AnswerHead;
  readonly body: Buffer;
}

export interface RefusalOptions {
  readonly audience: Audience;
  readonly protocol: RequestHead['protocol'];
  readonly hop: string | null;
  /** Fields for this code, such as `WWW-Authenticate`. */
  readonly fields: HeaderList;
}

export function refusalAnswer(error: BehalfError, { audience, protocol, hop, fields }: RefusalOptions): RefusalAnswer {
  const headers: string[] = [...fields];
  if (audience === 'mesh') headers.push('delegation-error', error.code);
  if (protocol === 'grpc') {
    headers.push('content-type', 'application/grpc', ...grpcStatusFields(error, hop));
    return { head: { status: 200, headers }, body: EMPTY };
  }
  headers.push('content-type', PROBLEM_CONTENT_TYPE, 'cache-control', 'no-store');
  const status = statusFor(error.code, audience);
  return { head: { status, headers }, body: problemBody(error, hop, status) };
}

/** `grpc-status` and its companions, for a head without body or for trailers. */
export function grpcStatusFields(error: BehalfError, hop: string | null): string[] {
  const { status, message, details } = grpcAnswerOf(error, hop);
  return [
    'grpc-status',
    String(status),
    'grpc-message',
    percentEncode(message),
    STATUS_DETAILS_KEY,
    details.toString('base64').replaceAll('=', ''),
  ];
}

/** The HTTP status of a code; `delegation_missing` is 401 to a client outside, who can do something about it. */
function statusFor(code: ErrorCode, audience: Audience): number {
  return audience === 'outside' && code === 'delegation_missing' ? 401 : ERROR_TABLE[code].http;
}

/**
 * What a client outside sees: the mesh's inner codes become `delegation_refused`; what is about its own credential or
 * request, or says to come back later, stays. Of details only those that are about its own request: others name services.
 */
function hideInner(error: BehalfError): BehalfError {
  const { group } = ERROR_TABLE[error.code];
  const inner = group === 'peer' || group === 'identity' || error.code === 'route_unknown' || group === 'delegation';
  if (error.code !== 'delegation_missing' && inner) return new BehalfError('delegation_refused');
  return group === 'availability' ? new BehalfError(error.code) : error;
}

/** What `createRefuser` needs to know of the sidecar's entry. */
export interface RefuserOptions {
  readonly showInnerCodes: boolean;
}

export interface Refuser {
  /** Answers a call with a refusal, or breaks it off where its answer has begun. `call` null: nothing is known of it. */
  send(asker: Asker, call: Call | null, error: BehalfError): void;
  /** The HTTP status that `send` gives. */
  status(asker: Asker, call: Call, error: BehalfError): number;
}

export function createRefuser({ showInnerCodes }: RefuserOptions): Refuser {
  function answerTo(asker: Asker, call: Call | null, error: BehalfError): RefusalAnswer {
    const outside = call?.audience === 'outside';
    return refusalAnswer(outside && !showInnerCodes ? hideInner(error) : error, {
      audience: call?.audience ?? 'app',
      protocol: asker.head.protocol,
      hop: call?.hop ?? null,
      fields: call?.challenge?.(error.code) ?? [],
    });
  }
  return {
    send(asker, call, error) {
      if (asker.started()) {
        asker.breakOff(null);
        return;
      }
      const { head, body } = answerTo(asker, call, error);
      asker.sendWhole(head, body);
    },
    status: (asker, call, error) => answerTo(asker, call, error).head.status,
  };
}

const EMPTY = Buffer.alloc(0);

/** gRPC over HTTP/2, "Responses": printable ASCII but `%` stays. */
function percentEncode(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    out +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
