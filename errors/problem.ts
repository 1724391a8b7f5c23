/**
 * A refusal as an HTTP answer: RFC 9457 problem details with two members of ours, `code` and `hop` (WIRE.md section 4).
 * What a client outside the mesh may see is the caller's choice of error; this file hides nothing.
 */
import type { BehalfError } from './behalf-error.ts';
import { ERROR_TABLE, type ErrorCode } from './table.ts';

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

/** The problem document. Every member is always present, so that readers need no second shape. */
export interface Problem {
  /** `urn:behalf:error:<code>`: names the kind of problem, does not resolve. */
  readonly type: string;
  /** The code's meaning; the same for every occurrence (RFC 9457 section 3.1.3). */
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  /** Hop id under which the refusal is on record, or null where none was recorded. */
  readonly hop: string | null;
  /** What was seen this time; holds no secret, as the details of a `BehalfError` hold none. */
  readonly detail: string;
}

/** The problem document of a refusal that is on record under `hop`. */
export function problemOf(error: BehalfError, hop: string | null): Problem {
  const { http, meaning } = ERROR_TABLE[error.code];
  return {
    type: `urn:behalf:error:${error.code}`,
    title: meaning,
    status: http,
    code: error.code,
    hop,
    detail: error.message,
  };
}

/**
 * The same as the bytes of a body, a line; send it with `PROBLEM_CONTENT_TYPE`. Where the answer's status is not the code's
 * own, give it: both must say the same (RFC 9457 section 3.1.2).
 */
export function problemBody(error: BehalfError, hop: string | null, status: number | null = null): Buffer {
  const problem = problemOf(error, hop);
  return Buffer.from(`${JSON.stringify(status === null ? problem : { ...problem, status })}\n`, 'utf8');
}
