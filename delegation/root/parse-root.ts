/** Reading a root (WIRE.md section 1): form, header, members and types. Nothing here says who signed it. */
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
  readSpiffeIds,
  readText,
  refuse,
  sha256Base64url,
} from '../../identity/jws.ts';
import { MAX_JSON_MEMBERS, MAX_ROOT_JSON_DEPTH, TXN_BYTES } from '../limits.ts';
import { readDetails, readScope } from '../narrowing/read.ts';
import {
  type DeferredOrigin,
  type ParsedRoot,
  ROOT_TYP,
  type RootClaims,
  type RootContextClaims,
} from './root-claims.ts';

const ROOT_JSON: JsonLimits = { maxDepth: MAX_ROOT_JSON_DEPTH, maxMembers: MAX_JSON_MEMBERS };
const ROOT_HEADER = ['typ', 'alg', 'kid'] as const;
const USER_PREFIX = 'u:';
const PSEUDONYM_BYTES = 16;
/** What the root of a workload that acts for itself does not have in `tctx`. */
const USER_MEMBERS = ['client_id', 'consent', 'grant', 'authorization_details', 'acr', 'deferred'] as const;
const REFUSAL: Refusal = { code: 'delegation_malformed', object: 'root' };

/**
 * Reads a root in compact form. Unknown claims are ignored: the authority is trusted to put no restriction there.
 * @throws {BehalfError} `delegation_malformed`
 */
export function parseRoot(compact: string): ParsedRoot {
  const jws = parseCompactJws(compact, ROOT_JSON, REFUSAL);
  checkHeaderMembers(jws.header, ROOT_HEADER, REFUSAL);
  if (jws.header['typ'] !== ROOT_TYP) refuse(REFUSAL, `\`typ\` is not ${ROOT_TYP}`);
  if (jws.header['alg'] !== 'ES256') refuse(REFUSAL, '`alg` is not ES256');
  const scope = readScope(jws.payload, REFUSAL);
  return {
    compact,
    kid: readName(jws.header, 'kid', REFUSAL),
    claims: readClaims(jws.payload),
    scope,
    signingInput: jws.signingInput,
    signature: jws.signature,
    signingInputS256: sha256Base64url(jws.signingInput),
  };
}

/** Whether the subject is a user's pseudonym; else it is the SPIFFE ID of a workload that acts for itself. */
export function isUser(sub: string): boolean {
  return sub.startsWith(USER_PREFIX);
}

function readClaims(payload: JsonObject): RootClaims {
  const sub = readSubject(payload);
  const claims: RootClaims = {
    iss: readName(payload, 'iss', REFUSAL),
    aud: readName(payload, 'aud', REFUSAL),
    iat: readInteger(payload, 'iat', REFUSAL),
    exp: readInteger(payload, 'exp', REFUSAL),
    txn: readBase64url(payload, 'txn', TXN_BYTES, REFUSAL),
    sub,
    scope: readText(payload, 'scope', REFUSAL),
    req_wl: readSpiffeId(payload, 'req_wl', REFUSAL),
    tctx: readContext(readObject(payload, 'tctx', REFUSAL), isUser(sub)),
  };
  return payload['rctx'] === undefined ? claims : { ...claims, rctx: readObject(payload, 'rctx', REFUSAL) };
}

function readSubject(payload: JsonObject): string {
  const sub = readText(payload, 'sub', REFUSAL);
  if (isUser(sub)) {
    readBase64url({ sub: sub.slice(USER_PREFIX.length) }, 'sub', PSEUDONYM_BYTES, REFUSAL);
    return sub;
  }
  return readSpiffeId(payload, 'sub', REFUSAL);
}

function readContext(tctx: JsonObject, forUser: boolean): RootContextClaims {
  const limits = readOwnContext(tctx, forUser);
  if (forUser) {
    const consent = readObject(tctx, 'consent', REFUSAL);
    return {
      client_id: readName(tctx, 'client_id', REFUSAL),
      consent: { id: readName(consent, 'id', REFUSAL), version: readInteger(consent, 'version', REFUSAL) },
      grant: readName(tctx, 'grant', REFUSAL),
      ...limits,
      ...readWhereUsed(tctx),
    };
  }
  for (const name of USER_MEMBERS) {
    if (tctx[name] !== undefined) refuse(REFUSAL, `\`tctx.${name}\` in the root of a workload that acts for itself`);
  }
  return limits;
}

function readOwnContext(tctx: JsonObject, forUser: boolean): RootContextClaims {
  return {
    ...(forUser || tctx['purpose'] !== undefined ? { purpose: readText(tctx, 'purpose', REFUSAL) } : {}),
    ...(tctx['max_depth'] !== undefined ? { max_depth: readInteger(tctx, 'max_depth', REFUSAL) } : {}),
  };
}

function readWhereUsed(tctx: JsonObject): RootContextClaims {
  return {
    ...(tctx['authorization_details'] !== undefined ? { authorization_details: readDetails(tctx, REFUSAL) } : {}),
    ...(tctx['acr'] !== undefined ? { acr: readText(tctx, 'acr', REFUSAL) } : {}),
    ...(tctx['deferred'] !== undefined ? { deferred: readDeferred(readObject(tctx, 'deferred', REFUSAL)) } : {}),
  };
}

function readDeferred(deferred: JsonObject): DeferredOrigin {
  return {
    ref: readName(deferred, 'ref', REFUSAL),
    txn: readBase64url(deferred, 'txn', TXN_BYTES, REFUSAL),
    depth: readInteger(deferred, 'depth', REFUSAL),
    wl: readSpiffeIds(deferred, 'wl', REFUSAL),
    ...(deferred['next'] !== undefined ? { next: readSpiffeIds(deferred, 'next', REFUSAL) } : {}),
  };
}
