/**
 * DPoP proofs (RFC 9449 section 4.3), judged by one pure function wherever one is shown: at an entry listener with each request,
 * at the authority with each exchange. Owns the form of a proof and what it was made for; whether it was seen before is
 * `proof-memory.ts`, and whether the token is bound to its key is for whoever knows the token.
 */
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { isBase64urlOf } from '../base64url.ts';
import { type CompactJws, isJsonObject, type JsonObject, parseCompactJws, type Refusal, refuse } from '../jws.ts';

/** A proof is taken this long before and after its `iat`. */
export const PROOF_WINDOW_S = 60;
/** The names of `WWW-Authenticate`'s `algs` and of the metadata: what the authority binds tokens to. */
export const PROOF_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA'] as const;

const MAX_PROOF_LENGTH = 4_096;
const MAX_JTI_LENGTH = 256;
const LIMITS = { maxDepth: 4, maxMembers: 32 };
const REFUSAL: Refusal = { code: 'entry_proof_invalid', object: 'DPoP proof' };

/** What the proof has to have been made for. */
export interface ProofExpectation {
  readonly method: string;
  /** As the client saw it; query and fragment do not count. */
  readonly uri: string;
  readonly accessToken: string;
  readonly nowS: number;
  /** Whether a nonce is one of ours and still good; absent where none is asked for. @throws to refuse with a code of its own */
  readonly checkNonce?: (nonce: string | null) => void;
}

export interface VerifiedProof {
  /** RFC 7638 SHA-256 thumbprint of the key, base64url. */
  readonly thumbprint: string;
  readonly jti: string;
  readonly iatS: number;
}

/**
 * Checks a proof: form, signature by the key that it names, and that it was made for this request and this access token, now.
 * Stricter than the RFC: `ath` is always needed, JSON names no member twice, `iat` is an integer.
 * @throws {BehalfError} `entry_proof_invalid`, and what `checkNonce` throws
 */
export function verifyProof(compact: string, expected: ProofExpectation): VerifiedProof {
  if (compact.length > MAX_PROOF_LENGTH) return refuse(REFUSAL, 'too long');
  const proof = parseCompactJws(compact, LIMITS, REFUSAL);
  const { header, payload } = proof;
  if (header['typ'] !== 'dpop+jwt') return refuse(REFUSAL, 'not of type dpop+jwt');
  // RFC 7515 section 4.1.11: what is critical has to be understood, and we know nothing of that kind.
  if (header['crit'] !== undefined) return refuse(REFUSAL, 'has critical members');
  const { key, thumbprint } = readKey(header);
  if (!isSignedBy(proof, key)) return refuse(REFUSAL, 'its signature is not by its key');
  const jti = payload['jti'];
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return refuse(REFUSAL, 'no usable jti');
  if (payload['htm'] !== expected.method) return refuse(REFUSAL, 'made for another method');
  const uri = bareUri(payload['htu']);
  if (uri === null || uri !== bareUri(expected.uri)) return refuse(REFUSAL, 'made for another URI');
  if (payload['ath'] !== hash('sha256', expected.accessToken, 'base64url'))
    return refuse(REFUSAL, 'made for another access token');
  const { iat, nonce = null } = payload;
  if (typeof iat !== 'number' || !(Math.abs(expected.nowS - iat) <= PROOF_WINDOW_S))
    return refuse(REFUSAL, 'not made just now');
  if (nonce !== null && typeof nonce !== 'string') return refuse(REFUSAL, 'its nonce is no string');
  expected.checkNonce?.(nonce);
  return { thumbprint, jti, iatS: iat };
}

/** The public key of `jwk`, of the kind that `alg` says, and its thumbprint (RFC 7638 section 3). */
function readKey({ alg, jwk }: JsonObject): { key: KeyObject; thumbprint: string } {
  if (!isJsonObject(jwk)) return refuse(REFUSAL, 'no key');
  // RFC 9449 section 4.3, check 7. Whoever sends its private half has no key any more.
  for (const secret of ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi'])
    if (jwk[secret] !== undefined) return refuse(REFUSAL, 'shows a private key');
  const { kty, crv, x, y } = jwk;
  if (alg === 'ES256' && kty === 'EC' && crv === 'P-256' && isCoordinate(x) && isCoordinate(y)) {
    return keyOf({ kty, crv, x, y }, JSON.stringify({ crv, kty, x, y }));
  }
  if ((alg === 'Ed25519' || alg === 'EdDSA') && kty === 'OKP' && crv === 'Ed25519' && isCoordinate(x)) {
    return keyOf({ kty, crv, x }, JSON.stringify({ crv, kty, x }));
  }
  return refuse(REFUSAL, 'a key or an algorithm that is not taken');
}

function keyOf(jwk: JsonWebKey, canonical: string): { key: KeyObject; thumbprint: string } {
  try {
    return {
      key: createPublicKey({ key: jwk as never, format: 'jwk' }),
      thumbprint: hash('sha256', canonical, 'base64url'),
    };
  } catch (cause) {
    throw new BehalfError(REFUSAL.code, { object: REFUSAL.object, why: 'no point of its curve' }, { cause });
  }
}

type JsonWebKey = { readonly kty: string; readonly crv: string; readonly x: string; readonly y?: string };

function isCoordinate(value: unknown): value is string {
  return typeof value === 'string' && isBase64urlOf(value, 32);
}

function isSignedBy({ signingInput, signature }: CompactJws, key: KeyObject): boolean {
  const signed = Buffer.from(signingInput, 'ascii');
  if (key.asymmetricKeyType === 'ed25519') return verify(null, signed, key, signature);
  // Unlike our own objects, a client's proof may have either half of s: libraries make both.
  return verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** RFC 9449 section 4.3, check 9: compared without query and fragment, normalized as RFC 3986 section 6.2 says. */
function bareUri(value: unknown): string | null {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  if (url === null || url.username !== '' || url.password !== '') return null;
  url.search = '';
  url.hash = '';
  return url.href;
}
