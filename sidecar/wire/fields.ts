/**
 * Header fields as bytes engines hand them over, made into what the steps of a call see, and back: lower-case names,
 * hop-by-hop fields taken out (RFC 9110 section 7.6.1), framing left to the next connection.
 */
import type { HeaderList } from '../call/head.ts';

/** Most fields that a head may have; the answer beyond it is `request_malformed`. */
export const MAX_FIELDS = 100;
/** Most bytes of a head on the app's side, and on the mesh port, where chains travel. */
export const MAX_HEAD_BYTES = 16_384;
export const MAX_MESH_HEAD_BYTES = 32_768;
/** Most bytes of an answer's head. */
export const MAX_ANSWER_HEAD_BYTES = 65_536;

/** Never passed on: each connection has its own framing and its own life. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'transfer-encoding',
  'te',
  'upgrade',
  'http2-settings',
  'expect',
]);

/**
 * Fields to pass on, of a flat list of names and values as received. Without pseudo-header fields, `Host` (it travels as
 * the authority) and hop-by-hop fields, those named by `Connection` included. `TE: trailers` stays, since gRPC needs it.
 */
export function endToEnd(raw: readonly string[]): string[] {
  let named: string[] | null = null;
  let trailers = false;
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    const value = raw[i + 1] as string;
    if (name.charCodeAt(0) === COLON || name === 'host') continue;
    if (!HOP_BY_HOP.has(name)) {
      kept.push(name, value);
    } else if (name === 'connection') {
      named ??= [];
      for (const token of value.split(',')) named.push(token.trim().toLowerCase());
      // UNTRUSTED: what frames the body is not the sender's to take out.
      named = named.filter((token) => token !== 'content-length');
    } else if (name === 'te' && value.toLowerCase().split(',').some(isTrailers)) {
      trailers = true;
    }
  }
  const left = named === null ? kept : without(kept, named);
  if (trailers) left.push('te', 'trailers');
  return left;
}

/** Size of a list as HTTP/2 counts it: 32 bytes beside each name and value (RFC 9113 section 6.5.2). */
export function headBytes(headers: HeaderList): number {
  let bytes = 0;
  for (let i = 0; i < headers.length; i += 1) bytes += (headers[i] as string).length;
  return bytes + headers.length * 16;
}

/** The values of one field, of a flat list with names in any case. */
export function valuesOf(raw: readonly string[], lowerName: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    if ((raw[i] as string).length === lowerName.length && (raw[i] as string).toLowerCase() === lowerName) {
      values.push(raw[i + 1] as string);
    }
  }
  return values;
}

/** Whether a request is gRPC's, by its content type (gRPC over HTTP/2, "Requests"). */
export function isGrpc(contentType: string | null): boolean {
  if (contentType === null || !contentType.toLowerCase().startsWith(GRPC_TYPE)) return false;
  const next = contentType.charAt(GRPC_TYPE.length);
  return next === '' || next === '+' || next === ';' || next === ' ';
}

/** Cookie fields, which HTTP/2 may split (RFC 9113 section 8.2.3), joined to one for HTTP/1.1. */
export function joinCookies(headers: HeaderList): HeaderList {
  let cookies: string[] | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'cookie') {
      cookies ??= [];
      cookies.push(headers[i + 1] as string);
    }
  }
  if (cookies === null || cookies.length === 1) return headers;
  const joined = without(headers, ['cookie']);
  joined.push('cookie', cookies.join('; '));
  return joined;
}

const COLON = 58;
const GRPC_TYPE = 'application/grpc';

function isTrailers(token: string): boolean {
  return token.trim() === 'trailers';
}

function without(headers: HeaderList, names: readonly string[]): string[] {
  const left: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.includes(headers[i] as string)) left.push(headers[i] as string, headers[i + 1] as string);
  }
  return left;
}
