/** One check and its answer: a line for a person, an object for a program. */
import { BehalfError, type ErrorCode, type ErrorDetail } from '../../errors/index.ts';
import { instant } from '../draw/words.ts';

export type CheckVerdict = 'ok' | 'refused' | 'not_judged';

/** One line of the list. */
export interface Check {
  /** The step of WIRE.md section 3; `log` for what the record itself promises. */
  readonly step: number | 'log';
  readonly check: string;
  readonly verdict: CheckVerdict;
  /** Null unless refused. */
  readonly code: ErrorCode | null;
  /** What was seen; no secret. */
  readonly why: string;
}

/** Runs one check; what it gives is what it saw. */
export function run(step: Check['step'], check: string, judge: () => string): Check {
  const outcome = attempt(judge);
  return outcome.ok ? ok(step, check, outcome.value) : refusedCheck(step, check, outcome.error);
}

export function ok(step: Check['step'], check: string, why: string): Check {
  return { step, check, verdict: 'ok', code: null, why };
}

export function notJudged(step: Check['step'], check: string, why: string): Check {
  return { step, check, verdict: 'not_judged', code: null, why };
}

export function refusedCheck(step: Check['step'], check: string, { code, detail }: BehalfError): Check {
  return { step, check, verdict: 'refused', code, why: wordsOf(detail) };
}

/** The details of a refusal in words; times as people read them. */
function wordsOf(detail: ErrorDetail): string {
  const { object, why, nowS, skewS: _, ...rest } = detail;
  const facts = Object.entries(rest).map(([name, value]) =>
    (name === 'iat' || name === 'exp') && typeof value === 'number'
      ? `\`${name}\` is ${utc(value)}`
      : `${name}: ${value}`,
  );
  const said = [object, why, ...facts, typeof nowS === 'number' ? `judged at ${utc(nowS)}` : undefined];
  return said.filter((part) => part !== undefined && part !== null).join(', ');
}

export function attempt<T>(
  work: () => T,
): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: BehalfError } {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    // Anything else is a defect of ours, which must not look like a refused chain.
    if (!(error instanceof BehalfError)) throw error;
    return { ok: false, error };
  }
}

/** UNTRUSTED: any number of seconds may stand in a token. */
export function utc(seconds: number): string {
  return Math.abs(seconds) < 8.64e12 ? `${instant(seconds * 1e6).slice(0, 19)} UTC` : `${seconds} s`;
}
