/** Reading a link (WIRE.md section 1): form, header, exactly the known members. Nothing here says who signed it. */
import { BehalfError } from '../../errors/index.ts';
import {
  checkHeaderMembers,
  type JsonLimits,
  type JsonObject,
  parseCompactJws,
  type Refusal,
  readBase64url,
  readInteger,
  readSpiffeId,
  readSpiffeIds,
  readText,
  refuse,
  sha256Base64url,
} from '../../identity/jws.ts';
import { JTI_BYTES, MAX_JSON_DEPTH, MAX_JSON_MEMBERS } from '../limits.ts';
import { readDetails, readScope } from '../narrowing/read.ts';
import { LINK_TYP, type LinkClaims, type ParsedLink } from './link-claims.ts';

const LINK_JSON: JsonLimits = { maxDepth: MAX_JSON_DEPTH, maxMembers: MAX_JSON_MEMBERS };
const LINK_HEADER = ['typ', 'alg'] as const;
const SHA256_BYTES = 32;
const BATCH_ALG = 'ES256+MT';
const TYP_PREFIX = 'dlglink-';
const TYP_SUFFIX = '+jwt';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads a link in compact form; `refusal` says which of the chain it is.
 * @throws {BehalfError} `delegation_malformed`; `delegation_unsupported` for another version and for batch signatures
 */
export function parseLink(compact: string, refusal: Refusal): ParsedLink {
  const jws = parseCompactJws(compact, LINK_JSON, refusal);
  checkHeader(jws.header, refusal);
  return {
    compact,
    claims: readClaims(jws.payload, refusal),
    scope: jws.payload['scope'] === undefined ? null : readScope(jws.payload, refusal),
    signingInput: jws.signingInput,
    signature: jws.signature,
    signingInputS256: sha256Base64url(jws.signingInput),
  };
}

/** The version is judged first: what else may stand in the header is that version's to say. */
function checkHeader(header: JsonObject, refusal: Refusal): void {
  const typ = header['typ'];
  if (typ !== LINK_TYP && isLinkTyp(typ)) unsupported(refusal, 'a link of another version');
  checkHeaderMembers(header, LINK_HEADER, refusal);
  if (typ !== LINK_TYP) refuse(refusal, `\`typ\` is not ${LINK_TYP}`);
  if (header['alg'] === BATCH_ALG) unsupported(refusal, 'batch signatures are off');
  if (header['alg'] !== 'ES256') refuse(refusal, '`alg` is not ES256');
}

/** `dlglink-N+jwt` with N a decimal number without leading zero. */
function isLinkTyp(typ: unknown): boolean {
  if (typeof typ !== 'string' || !typ.startsWith(TYP_PREFIX) || !typ.endsWith(TYP_SUFFIX)) return false;
  const end = typ.length - TYP_SUFFIX.length;
  if (end <= TYP_PREFIX.length || typ.charCodeAt(TYP_PREFIX.length) === 0x30) return false;
  for (let i = TYP_PREFIX.length; i < end; i++) {
    const code = typ.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

/**
 * INVARIANT: a member is either read here or refused here. A restriction that is not understood is not ignored.
 */
function readClaims(payload: JsonObject, refusal: Refusal): LinkClaims {
  const claims: Writable<LinkClaims> = {
    par_hash: readBase64url(payload, 'par_hash', SHA256_BYTES, refusal),
    aud: readSpiffeId(payload, 'aud', refusal),
    iat: readInteger(payload, 'iat', refusal),
    exp: readInteger(payload, 'exp', refusal),
    jti: readBase64url(payload, 'jti', JTI_BYTES, refusal),
    del_depth: readInteger(payload, 'del_depth', refusal),
    wth: readBase64url(payload, 'wth', SHA256_BYTES, refusal),
  };
  for (const name in payload) readMember(name, payload, claims, refusal);
  return claims;
}

function readMember(name: string, payload: JsonObject, claims: Writable<LinkClaims>, refusal: Refusal): void {
  switch (name) {
    case 'par_hash':
    case 'aud':
    case 'iat':
    case 'exp':
    case 'jti':
    case 'del_depth':
    case 'wth':
      return;
    case 'scope':
      claims.scope = readText(payload, name, refusal);
      return;
    case 'authorization_details':
      claims.authorization_details = readDetails(payload, refusal);
      return;
    case 'del_max_depth':
      claims.del_max_depth = readInteger(payload, name, refusal);
      return;
    case 'next':
      claims.next = readSpiffeIds(payload, name, refusal);
      return;
    case 'rte':
      claims.rte = readText(payload, name, refusal);
      return;
    case 'once':
      claims.once = readBase64url(payload, name, SHA256_BYTES, refusal);
      return;
    default:
      refuse(refusal, 'a member that links do not have');
  }
}

function unsupported(refusal: Refusal, why: string): never {
  throw new BehalfError('delegation_unsupported', { object: refusal.object, why });
}
