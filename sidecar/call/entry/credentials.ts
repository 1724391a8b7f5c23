/**
 * The one credential of a request from outside, read in one place: an access token in `Authorization` (`Bearer`, RFC 6750
 * section 2.1; `DPoP`, RFC 9449 section 7.1), or the reference of deferred work in `Delegation-Deferred`. A token in a form or a
 * query (RFC 6750 sections 2.2 and 2.3) is no credential here. Pure; judges form and number, nothing else.
 */
import { BehalfError } from '../../../errors/index.ts';
import { isProxyFact } from '../../facts/index.ts';
import { fieldOf, type HeaderList } from '../head.ts';

const MAX_TOKEN_LENGTH = 8_192;
const MAX_REFERENCE_LENGTH = 512;

/** UNTRUSTED: each of them is the client's word. */
export type Credential = AccessTokenCredential | DeferredCredential | { readonly kind: 'none' };

export interface AccessTokenCredential {
  readonly kind: 'access_token';
  readonly token: string;
  /** The DPoP proof as sent; null where the token came by the scheme `Bearer`. */
  readonly proof: string | null;
}

export interface DeferredCredential {
  readonly kind: 'deferred';
  readonly reference: string;
}

/**
 * Reads the credential of a request, of its head as it came.
 * @throws {BehalfError} `entry_ambiguous` with more than one, `entry_token_invalid` for one of no form that is taken,
 *   `entry_proof_invalid` for a proof that is missing, there twice or beside a bearer token
 */
export function presentedCredential(headers: HeaderList): Credential {
  const authorization = onlyValue(headers, 'authorization', 'entry_ambiguous');
  const reference = onlyValue(headers, 'delegation-deferred', 'entry_ambiguous');
  if (authorization !== null && reference !== null) throw new BehalfError('entry_ambiguous');
  // RFC 9449 section 4.3, check 1.
  const proof = onlyValue(headers, 'dpop', 'entry_proof_invalid');
  if (authorization !== null) return accessToken(authorization, proof);
  if (proof !== null) throw new BehalfError('entry_proof_invalid', { why: 'a proof without a token' });
  if (reference === null) return { kind: 'none' };
  if (!isReference(reference)) throw new BehalfError('entry_token_invalid', { why: 'no deferred reference' });
  return { kind: 'deferred', reference };
}

/** Whether it has the form of a reference. */
export function isReference(text: string): boolean {
  return text.length <= MAX_REFERENCE_LENGTH && isTokenText(text);
}

/** The scheme of the first access token shown, whatever it is worth; null where there is none of a scheme that is taken. */
export function schemeOf(headers: HeaderList): 'Bearer' | 'DPoP' | null {
  const value = fieldOf(headers, 'authorization')?.toLowerCase() ?? '';
  if (value.startsWith('bearer ')) return 'Bearer';
  return value.startsWith('dpop ') ? 'DPoP' : null;
}

/**
 * The field of a credential, or of a proxy's word, that came as a trailer, or null: there none is read (RFC 9110 section 6.5.1), and
 * what an app takes for fields of the head must not get around the entry.
 */
export function credentialInTrailers(trailers: HeaderList): string | null {
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i] as string;
    if (name === 'authorization' || name === 'dpop' || isProxyFact(name)) return name;
  }
  return null;
}

/** The head without what it may have been entered with. */
export function withoutCredentials(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name !== 'authorization' && name !== 'dpop') kept.push(name, headers[i + 1] as string);
  }
  return kept;
}

function accessToken(value: string, proof: string | null): AccessTokenCredential {
  const space = value.indexOf(' ');
  const scheme = (space < 0 ? value : value.slice(0, space)).toLowerCase();
  if (scheme !== 'bearer' && scheme !== 'dpop')
    throw new BehalfError('entry_token_invalid', { why: 'neither a Bearer nor a DPoP token' });
  const token = space < 0 ? '' : value.slice(space + 1).trim();
  // A proxy may have joined two fields into one.
  if (token.includes(',')) throw new BehalfError('entry_ambiguous');
  if (token.length > MAX_TOKEN_LENGTH || !isTokenText(token))
    throw new BehalfError('entry_token_invalid', { why: 'not of the form of RFC 6750' });
  if (scheme === 'bearer' && proof !== null)
    throw new BehalfError('entry_proof_invalid', { why: 'a proof beside the scheme Bearer' });
  if (scheme === 'dpop' && proof === null)
    throw new BehalfError('entry_proof_invalid', { why: 'the scheme DPoP without a proof' });
  return { kind: 'access_token', token, proof };
}

function onlyValue(headers: HeaderList, name: string, ifTwo: 'entry_ambiguous' | 'entry_proof_invalid'): string | null {
  let found: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found !== null) throw new BehalfError(ifTwo, { why: `\`${name}\` twice` });
    found = headers[i + 1] as string;
  }
  return found;
}

/** `b64token` of RFC 6750: letters, digits, `-._~+/`, and `=` at the end. */
function isTokenText(token: string): boolean {
  let end = token.length;
  while (end > 0 && token.charCodeAt(end - 1) === 61) end -= 1;
  for (let i = 0; i < end; i += 1) {
    const c = token.charCodeAt(i);
    const alphanumeric = (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
    if (!alphanumeric && c !== 45 && c !== 46 && c !== 95 && c !== 126 && c !== 43 && c !== 47) return false;
  }
  return end > 0;
}
