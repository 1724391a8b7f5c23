/**
 * The path of a request as its segments (RFC 3986 section 3.3), before any route is looked for. UNTRUSTED: the caller
 * chooses every byte. What one router would resolve and another would not is refused, as then the route that we judge and
 * the one that the app serves could differ: dot segments, `//`, backslashes, encoded slashes and controls.
 */
import { BehalfError } from '../../errors/index.ts';
import { MAX_SEGMENTS } from './template.ts';

const MAX_PATH_LENGTH = 8_192;

const SLASH = 0x2f;
const PERCENT = 0x25;
const DOT = 0x2e;

/**
 * Cuts a path without query into its raw segments: `/a/b/` gives `a`, `b` and an empty last one.
 * @throws {BehalfError} `request_malformed`
 */
export function splitPath(path: string): string[] {
  if (path.length > MAX_PATH_LENGTH) throw malformed('longer than the limit');
  if (path.charCodeAt(0) !== SLASH) throw malformed('does not begin with a slash');
  const segments: string[] = [];
  let start = 1;
  for (let at = 1; at <= path.length; at += 1) {
    const char = at === path.length ? SLASH : path.charCodeAt(at);
    if (char === SLASH) {
      if (at === start && at !== path.length) throw malformed('empty segment');
      if (segments.length === MAX_SEGMENTS) throw malformed(`more than ${MAX_SEGMENTS} segments`);
      const segment = path.slice(start, at);
      if (isDotSegment(segment)) throw malformed('dot segment');
      segments.push(segment);
      start = at + 1;
    } else if (char === PERCENT) {
      checkEncoded(path, at);
      at += 2;
    } else if (char <= 0x20 || char >= 0x7f) {
      throw malformed('character that a path must encode');
    } else if (isNeverRaw(char)) {
      throw malformed('backslash, query or fragment');
    }
  }
  return segments;
}

/**
 * A segment as the most lenient router might read it: percent-decoding done, matrix parameters cut off, case folded. For
 * finding paths that two routers read differently; never for matching itself.
 */
export function foldSegment(segment: string): string {
  return cutAtSemicolon(decode(segment)).toLowerCase();
}

function isDotSegment(segment: string): boolean {
  const first = segment.charCodeAt(0);
  if (first !== DOT && first !== PERCENT) return false;
  const plain = decodeDots(cutAtSemicolon(segment));
  return plain === '.' || plain === '..';
}

/** Without matrix parameters, which some routers cut off before they resolve dots. */
function cutAtSemicolon(segment: string): string {
  const semicolon = segment.indexOf(';');
  return semicolon === -1 ? segment : segment.slice(0, semicolon);
}

/** `%2e` as a dot, in either case. */
function decodeDots(text: string): string {
  let plain = '';
  for (let at = 0; at < text.length; at += 1) {
    if (text.charCodeAt(at) === PERCENT && byteAt(text, at) === DOT) {
      plain += '.';
      at += 2;
    } else plain += text[at];
  }
  return plain;
}

/** `\`, `?` and `#`. */
function isNeverRaw(char: number): boolean {
  return char === 0x5c || char === 0x3f || char === 0x23;
}

function checkEncoded(path: string, at: number): void {
  const byte = byteAt(path, at);
  if (byte === null) throw malformed('percent sign without two hexadecimal digits');
  if (byte === SLASH || byte === 0x5c) throw malformed('encoded slash or backslash');
  if (byte < 0x20 || byte === 0x7f) throw malformed('encoded control character');
}

function byteAt(text: string, at: number): number | null {
  const high = hexDigit(text.charCodeAt(at + 1));
  const low = hexDigit(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? null : high * 16 + low;
}

function hexDigit(char: number): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const upper = char & ~0x20;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : -1;
}

/** Percent-decodes; bytes that are no UTF-8 become U+FFFD, which no literal holds. */
function decode(segment: string): string {
  if (!segment.includes('%')) return segment;
  const bytes: number[] = [];
  for (let at = 0; at < segment.length; at += 1) {
    const byte = segment.charCodeAt(at) === PERCENT ? byteAt(segment, at) : null;
    bytes.push(byte ?? segment.charCodeAt(at));
    if (byte !== null) at += 2;
  }
  return Buffer.from(bytes).toString('utf8');
}

function malformed(why: string): BehalfError {
  return new BehalfError('request_malformed', { part: 'path', why });
}
