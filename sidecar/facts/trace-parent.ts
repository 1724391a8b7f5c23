/**
 * `traceparent` (W3C Trace Context, section 3.2): the trace id that a request carries, and new ones. Read only where a trace id
 * counts, that is to tell which request a call belongs to; what the app and its tracing make of it is theirs.
 */
import { countOf, fieldOf, type HeaderList } from '../call/head.ts';

const VERSION_LENGTH = 2;
const TRACE_ID_LENGTH = 32;
const PARENT_ID_LENGTH = 16;
/** `00-<trace id>-<parent id>-<flags>` */
const TRACE_ID_AT = VERSION_LENGTH + 1;
const PARENT_ID_AT = TRACE_ID_AT + TRACE_ID_LENGTH + 1;
const FLAGS_AT = PARENT_ID_AT + PARENT_ID_LENGTH + 1;
const LENGTH = FLAGS_AT + 2;

export interface TraceParent {
  /** 32 lower-case hexadecimal characters, not all zero. */
  readonly traceId: string;
  readonly isSampled: boolean;
  /** The field's value, as version 00 writes it. */
  readonly value: string;
}

/**
 * The one valid `traceparent` of a request; null where it is absent, repeated or malformed: such a one counts as none (section
 * 4.3). Versions after 00 are read as far as 00 goes (section 3.2.4).
 */
export function traceParentOf(headers: HeaderList): TraceParent | null {
  const value = fieldOf(headers, 'traceparent');
  return value === null || countOf(headers, 'traceparent') > 1 ? null : parseTraceParent(value);
}

// UNTRUSTED: `value`.
function parseTraceParent(value: string): TraceParent | null {
  if (value.length < LENGTH) return null;
  const version = value.slice(0, VERSION_LENGTH);
  if (!isHex(version) || version === 'ff') return null;
  if (value.length > LENGTH && (version === '00' || value[LENGTH] !== '-')) return null;
  for (const at of [TRACE_ID_AT, PARENT_ID_AT, FLAGS_AT]) if (value[at - 1] !== '-') return null;
  // A slice keeps the whole head alive; a trace id outlives it.
  const traceId = Buffer.from(value.slice(TRACE_ID_AT, PARENT_ID_AT - 1), 'latin1').toString('latin1');
  const parentId = value.slice(PARENT_ID_AT, FLAGS_AT - 1);
  const flags = value.slice(FLAGS_AT, LENGTH);
  if (!isHex(traceId) || !isHex(parentId) || !isHex(flags) || isZero(traceId) || isZero(parentId)) return null;
  return { traceId, isSampled: (Number.parseInt(flags, 16) & 1) === 1, value: `00-${traceId}-${parentId}-${flags}` };
}

/** A trace that starts here. Its parent id is random: no span of ours is on any record. */
export function newTraceParent(random: (bytes: number) => Buffer, isSampled: boolean): TraceParent {
  const traceId = nonZero(random, TRACE_ID_LENGTH / 2);
  const parentId = nonZero(random, PARENT_ID_LENGTH / 2);
  return { traceId, isSampled, value: `00-${traceId}-${parentId}-${isSampled ? '01' : '00'}` };
}

/** The head with that `traceparent` alone. `tracestate` belongs to the trace that is left (section 3.5). */
export function withTraceParent(headers: HeaderList, value: string | null): HeaderList {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'traceparent' && headers[i] !== 'tracestate')
      kept.push(headers[i] as string, headers[i + 1] as string);
  }
  if (value !== null) kept.push('traceparent', value);
  return kept;
}

function nonZero(random: (bytes: number) => Buffer, bytes: number): string {
  for (;;) {
    const id = random(bytes).toString('hex');
    if (!isZero(id)) return id;
  }
}

/** Lower case only (section 3.2.2). */
function isHex(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i);
    if (!((c >= 48 && c <= 57) || (c >= 97 && c <= 102))) return false;
  }
  return true;
}

function isZero(hex: string): boolean {
  for (let i = 0; i < hex.length; i += 1) if (hex.charCodeAt(i) !== 48) return false;
  return true;
}
