import { ERROR_TABLE, type ErrorCode } from './table.ts';

/** Facts for the person who reads the refusal. Never a token, key, payload, query string or handle. */
export type ErrorDetail = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** The one error class: a refusal with a stable code. Nobody needs to catch it for the call to be denied. */
export class BehalfError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, detail: ErrorDetail = {}, options?: { cause?: unknown }) {
    super(messageOf(code, detail), options);
    this.name = 'BehalfError';
    this.code = code;
    this.detail = detail;
  }
}

/** The code of anything that was thrown: its own, or `internal` for what is no refusal of ours. */
export function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof BehalfError ? thrown.code : 'internal';
}

function messageOf(code: ErrorCode, detail: ErrorDetail): string {
  const facts = Object.entries(detail).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(' ') : value}`,
  );
  const meaning = ERROR_TABLE[code].meaning.replace(/\.$/, '');
  return facts.length === 0 ? `${code}: ${meaning}` : `${code}: ${meaning} (${facts.join(', ')})`;
}
