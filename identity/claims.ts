/**
 * Members of strict JSON objects read as typed values: one function a form. Each refuses what is missing or of another form
 * with the caller's code, names the member, and never shows its value.
 */
import { BehalfError, type ErrorCode } from '../errors/index.ts';
import { isBase64urlOf } from './base64url.ts';
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts';
import { isJsonArray, isJsonObject, type JsonArray, type JsonObject } from './strict-json.ts';

/** How a reader refuses: with which code, and what it calls the object (`root`, `link 2`). */
export interface Refusal {
  readonly code: ErrorCode;
  readonly object: string;
}

/** @throws {BehalfError} `refusal.code` always */
export function refuse(refusal: Refusal, why: string): never {
  throw new BehalfError(refusal.code, { object: refusal.object, why });
}

/** Any text, also an empty one. @throws {BehalfError} `refusal.code` */
export function readText(object: JsonObject, name: string, refusal: Refusal): string {
  const value = object[name];
  return typeof value === 'string' ? value : refuse(refusal, `\`${name}\` is missing or no string`);
}

/** A text that names something, so not an empty one. @throws {BehalfError} `refusal.code` */
export function readName(object: JsonObject, name: string, refusal: Refusal): string {
  const value = readText(object, name, refusal);
  return value.length > 0 ? value : refuse(refusal, `\`${name}\` is empty`);
}

/** An integer; the JSON reader takes only those from 0 to 2^53 - 1. @throws {BehalfError} `refusal.code` */
export function readInteger(object: JsonObject, name: string, refusal: Refusal): number {
  const value = object[name];
  return typeof value === 'number' ? value : refuse(refusal, `\`${name}\` is missing or no integer`);
}

/** The canonical base64url text of exactly `bytes` bytes; stays text. @throws {BehalfError} `refusal.code` */
export function readBase64url(object: JsonObject, name: string, bytes: number, refusal: Refusal): string {
  const value = readText(object, name, refusal);
  return isBase64urlOf(value, bytes)
    ? value
    : refuse(refusal, `\`${name}\` is not the base64url form of ${bytes} bytes`);
}

/** A canonical SPIFFE ID. @throws {BehalfError} `refusal.code` */
export function readSpiffeId(object: JsonObject, name: string, refusal: Refusal): SpiffeId {
  return asSpiffeId(readText(object, name, refusal), name, refusal);
}

/** A list of canonical SPIFFE IDs, possibly empty. @throws {BehalfError} `refusal.code` */
export function readSpiffeIds(object: JsonObject, name: string, refusal: Refusal): readonly SpiffeId[] {
  const ids: SpiffeId[] = [];
  for (const value of readArray(object, name, refusal)) ids.push(asSpiffeId(value, name, refusal));
  return ids;
}

/** @throws {BehalfError} `refusal.code` */
export function readObject(object: JsonObject, name: string, refusal: Refusal): JsonObject {
  const value = object[name];
  return isJsonObject(value) ? value : refuse(refusal, `\`${name}\` is missing or no object`);
}

/** @throws {BehalfError} `refusal.code` */
export function readArray(object: JsonObject, name: string, refusal: Refusal): JsonArray {
  const value = object[name];
  return isJsonArray(value) ? value : refuse(refusal, `\`${name}\` is missing or no array`);
}

function asSpiffeId(value: unknown, name: string, refusal: Refusal): SpiffeId {
  try {
    return parseSpiffeId(value);
  } catch {
    return refuse(refusal, `\`${name}\` is not a canonical SPIFFE ID`);
  }
}
