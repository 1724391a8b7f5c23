/** Details that came as JSON text: in a header field of an app, or in an OAuth parameter (RFC 9396 section 2). */
import { isJsonArray, isJsonObject, JsonDefect, type JsonValue, readStrictJson } from '../../identity/jws.ts';
import { MAX_JSON_DEPTH, MAX_JSON_MEMBERS } from '../limits.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';

/** Longest text that is read; a link, which carries them, is smaller. */
export const MAX_DETAILS_TEXT = 4_096;

/**
 * The entries, or null where the text is no JSON array of objects with a `type`, or not strict JSON as chains have it. What their
 * types make of them is not judged. UNTRUSTED: the text.
 */
export function parseDetailsText(text: string): readonly AuthorizationDetail[] | null {
  if (text.length > MAX_DETAILS_TEXT) return null;
  // As deep as the same entries may lie in a link, whose object is one more.
  const value = readStrictJson(Buffer.from(text), { maxDepth: MAX_JSON_DEPTH - 1, maxMembers: MAX_JSON_MEMBERS });
  if (value instanceof JsonDefect || !isJsonArray(value) || !value.every(isDetail)) return null;
  return value;
}

/** An entry has a `type` that is a text and not empty. */
export function isDetail(value: JsonValue): value is AuthorizationDetail {
  return isJsonObject(value) && typeof value['type'] === 'string' && value['type'].length > 0;
}
