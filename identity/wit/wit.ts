/**
 * The WIT (WIMSE workload identity token in SPIFFE's profile, WIRE.md section 1): the CA vouches for the key with which a
 * workload signs links, and names the certificate that it was issued with. This file owns its form; who signed it is judged in
 * `verify-wit.ts`, or with the chain in `delegation/`.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import {
  checkHeaderMembers,
  type JsonLimits,
  type JsonObject,
  parseCompactJws,
  type Refusal,
  readBase64url,
  readInteger,
  readName,
  readObject,
  readSpiffeId,
  refuse,
  sha256Base64url,
} from '../jws.ts';
import type { SpiffeId } from '../spiffe-id.ts';

export const WIT_TYP = 'wit+jwt';
/** Longest WIT in characters of its compact form. */
export const MAX_WIT_CHARACTERS = 1024;

const WIT_JSON: JsonLimits = { maxDepth: 5, maxMembers: 64 };
const WIT_HEADER = ['typ', 'alg', 'kid'] as const;
const COORDINATE_BYTES = 32;
const SHA256_BYTES = 32;
/** SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480 section 2), up to the 64 bytes of its coordinates. */
const SPKI_OF_P256_POINT = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');

/** A WIT whose form is right. Nothing is known about who signed it. Times in seconds. */
export interface ParsedWit {
  readonly compact: string;
  /** base64url SHA-256 of the compact form: a link's `wth`. */
  readonly s256: string;
  readonly kid: string;
  readonly spiffeId: SpiffeId;
  /** True time of issue; `nbf` is earlier, for receivers whose clock is behind. */
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  /** base64url SHA-256 of the certificate issued with it. */
  readonly certificateS256: string;
  /** Coordinates of the P-256 key that signs links, base64url. */
  readonly x: string;
  readonly y: string;
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** A WIT that a key of its trust domain signed and that is within its life. */
export interface VerifiedWit {
  readonly compact: string;
  readonly s256: string;
  readonly kid: string;
  readonly spiffeId: SpiffeId;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  readonly certificateS256: string;
  /** Public key that links of this workload verify with. */
  readonly linkKey: KeyObject;
}

/** A WIT that stands alone refuses with this. */
export const WIT_REFUSAL: Refusal = { code: 'wit_invalid', object: 'wit' };

/**
 * Reads a WIT. Header of exactly `typ`, `alg`, `kid`; unknown claims are ignored, as their issuer puts no restriction there.
 * @throws {BehalfError} `refusal.code`: `wit_invalid` unless the caller says otherwise
 */
export function parseWit(compact: string, refusal: Refusal = WIT_REFUSAL): ParsedWit {
  if (compact.length > MAX_WIT_CHARACTERS) refuse(refusal, `longer than ${MAX_WIT_CHARACTERS} bytes`);
  const jws = parseCompactJws(compact, WIT_JSON, refusal);
  checkHeaderMembers(jws.header, WIT_HEADER, refusal);
  if (jws.header['typ'] !== WIT_TYP) refuse(refusal, `\`typ\` is not ${WIT_TYP}`);
  if (jws.header['alg'] !== 'ES256') refuse(refusal, '`alg` is not ES256');
  const { payload } = jws;
  const confirmation = readObject(payload, 'cnf', refusal);
  const jwk = readObject(confirmation, 'jwk', refusal);
  checkMember(jwk, 'kty', 'EC', refusal);
  checkMember(jwk, 'crv', 'P-256', refusal);
  checkMember(jwk, 'alg', 'ES256', refusal);
  return {
    compact,
    s256: sha256Base64url(compact),
    kid: readName(jws.header, 'kid', refusal),
    spiffeId: readSpiffeId(payload, 'sub', refusal),
    iat: readInteger(payload, 'iat', refusal),
    nbf: readInteger(payload, 'nbf', refusal),
    exp: readInteger(payload, 'exp', refusal),
    jti: readName(payload, 'jti', refusal),
    certificateS256: readBase64url(confirmation, 'x5t#S256', SHA256_BYTES, refusal),
    x: readBase64url(jwk, 'x', COORDINATE_BYTES, refusal),
    y: readBase64url(jwk, 'y', COORDINATE_BYTES, refusal),
    signingInput: jws.signingInput,
    signature: jws.signature,
  };
}

/**
 * The key that a WIT names for links, or null where its coordinates are no point of P-256. Read as DER: a quarter cheaper than the
 * same as a JWK (bench:chain, `WITs new`).
 */
export function linkKeyOf({ x, y }: ParsedWit): KeyObject | null {
  const key = Buffer.concat([SPKI_OF_P256_POINT, Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  try {
    return createPublicKey({ key, format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

function checkMember(object: JsonObject, name: string, value: string, refusal: Refusal): void {
  if (object[name] !== value) refuse(refusal, `\`${name}\` of the key is not ${value}`);
}
