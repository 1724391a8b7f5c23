/**
 * Compact JWS (RFC 7515 section 7.1) with ES256 (RFC 7518 section 3.4) over Node's crypto, for roots, WITs and links. Stricter
 * than the RFCs: canonical base64url, strict JSON, headers of exactly the named members, and signatures with s <= n/2, so that
 * nobody can make a second valid form of what another one signed.
 */
import { sign as cryptoSign, verify as cryptoVerify, hash, type KeyObject } from 'node:crypto';
import { decodeBase64url } from './base64url.ts';
import { type Refusal, refuse } from './claims.ts';
import { isJsonObject, JsonDefect, type JsonLimits, type JsonObject, readStrictJson } from './strict-json.ts';

export { base64urlChar, base64urlValue, decodeBase64url, isBase64url, isBase64urlOf } from './base64url.ts';
export {
  type Refusal,
  readArray,
  readBase64url,
  readInteger,
  readName,
  readObject,
  readSpiffeId,
  readSpiffeIds,
  readText,
  refuse,
} from './claims.ts';
export {
  isJsonArray,
  isJsonObject,
  type JsonArray,
  JsonDefect,
  type JsonLimits,
  type JsonObject,
  type JsonValue,
  readStrictJson,
} from './strict-json.ts';

/** The parts of a compact JWS. Nothing is known about who signed it. */
export interface CompactJws {
  readonly compact: string;
  readonly header: JsonObject;
  readonly payload: JsonObject;
  readonly signature: Buffer;
  /** Header and payload in base64url with the dot between them: what was signed. ASCII. */
  readonly signingInput: string;
}

export const ES256_SIGNATURE_BYTES = 64;

/** n/2 of P-256 rounded down (FIPS 186-5, SP 800-186), big-endian. */
const HALF_ORDER = Buffer.from('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8', 'hex');
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
const SCALAR_BYTES = 32;

/**
 * Takes a compact JWS apart: three non-empty parts in canonical base64url, header and payload strict JSON objects.
 * @throws {BehalfError} `refusal.code`
 */
export function parseCompactJws(compact: string, limits: JsonLimits, refusal: Refusal): CompactJws {
  const firstDot = compact.indexOf('.');
  const secondDot = compact.indexOf('.', firstDot + 1);
  if (firstDot < 1 || secondDot < firstDot + 2 || secondDot === compact.length - 1)
    return refuse(refusal, 'not three parts');
  // A third dot falls into the signature part, where base64url refuses it.
  const signature = decodeBase64url(compact.slice(secondDot + 1));
  if (signature === null) return refuse(refusal, 'signature is not canonical base64url');
  return {
    compact,
    header: parseJsonPart(compact.slice(0, firstDot), limits, refusal, 'header'),
    payload: parseJsonPart(compact.slice(firstDot + 1, secondDot), limits, refusal, 'payload'),
    signature,
    signingInput: compact.slice(0, secondDot),
  };
}

/**
 * Signs claims: compact form, header and payload as `JSON.stringify` writes them, signature with s <= n/2.
 * The caller answers for values that the strict reader takes.
 */
export function signCompactJws(header: object, payload: object, key: KeyObject): string {
  const signingInput = `${encodeJson(header)}.${encodeJson(payload)}`;
  return `${signingInput}.${signEs256(signingInput, key).toString('base64url')}`;
}

/** ES256 in IEEE P1363 form (r, then s) with s <= n/2; half of what libraries make is not, and is mirrored here. */
export function signEs256(signingInput: string, key: KeyObject): Buffer {
  const signature = cryptoSign('sha256', Buffer.from(signingInput, 'ascii'), { key, dsaEncoding: 'ieee-p1363' });
  if (signature.length !== ES256_SIGNATURE_BYTES) throw new TypeError('the key is not a P-256 key');
  if (!isLowS(signature)) mirrorS(signature);
  return signature;
}

/** Whether `key` made this ES256 signature, and s <= n/2. False for a signature of another size and a key of another kind. */
export function verifyEs256(signingInput: string, signature: Buffer, key: KeyObject): boolean {
  if (signature.length !== ES256_SIGNATURE_BYTES || !isLowS(signature)) return false;
  if (key.asymmetricKeyType !== 'ec') return false;
  return cryptoVerify('sha256', Buffer.from(signingInput, 'ascii'), { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** base64url SHA-256 of text (UTF-8) or bytes: `par_hash`, `wth`, `x5t#S256`. */
export function sha256Base64url(data: string | Buffer): string {
  return hash('sha256', data, 'base64url');
}

/**
 * Checks that a header has exactly these members, all of them strings.
 * @throws {BehalfError} `refusal.code`
 */
export function checkHeaderMembers(header: JsonObject, names: readonly string[], refusal: Refusal): void {
  let members = 0;
  for (const _ in header) members++;
  if (members !== names.length) refuse(refusal, 'header has other members');
  for (const name of names)
    if (typeof header[name] !== 'string') refuse(refusal, `header \`${name}\` is missing or no string`);
}

function parseJsonPart(part: string, limits: JsonLimits, refusal: Refusal, name: string): JsonObject {
  const bytes = decodeBase64url(part);
  if (bytes === null) return refuse(refusal, `${name} is not canonical base64url`);
  const value = readStrictJson(bytes, limits);
  if (value instanceof JsonDefect) return refuse(refusal, `${name}: ${value.why}`);
  return isJsonObject(value) ? value : refuse(refusal, `${name} is no JSON object`);
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

function isLowS(signature: Buffer): boolean {
  return signature.compare(HALF_ORDER, 0, SCALAR_BYTES, SCALAR_BYTES, ES256_SIGNATURE_BYTES) <= 0;
}

/** s becomes n - s, in place: (r, n - s) is the other valid form of (r, s). */
function mirrorS(signature: Buffer): void {
  let borrow = 0;
  for (let i = SCALAR_BYTES - 1; i >= 0; i--) {
    const difference = (ORDER[i] as number) - (signature[SCALAR_BYTES + i] as number) - borrow;
    signature[SCALAR_BYTES + i] = difference & 0xff;
    borrow = difference < 0 ? 1 : 0;
  }
}
