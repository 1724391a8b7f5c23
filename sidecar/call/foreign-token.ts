/**
 * On a call inside the mesh a token that the authority would take for a user has no business (WIRE section 1), be it our own or
 * one of another issuer that the policy names: a service in the middle could trade it for a root that was never narrowed. Looked
 * for before step 1.
 */
import { BehalfError } from '../../errors/index.ts';
import type { HeaderList } from './head.ts';

/** A longer one is no token of ours, and a shorter one no signed JWT. */
const MAX_TOKEN_LENGTH = 8_192;
const MIN_TOKEN_LENGTH = 64;

/** @throws {BehalfError} `delegation_malformed` for a JWT with one of these `iss` */
export function checkNoAccessToken(headers: HeaderList, issuers: readonly string[]): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') continue;
    if (holdsTokenOf(headers[i + 1] as string, issuers)) {
      throw new BehalfError('delegation_malformed', {
        object: 'authorization',
        why: 'an access token inside the mesh',
      });
    }
  }
}

/** Whatever the scheme is called and however it is spaced: each word of the value that might be a JWT is looked at. */
function holdsTokenOf(value: string, issuers: readonly string[]): boolean {
  for (let start = 0, at = 0; at <= value.length; at += 1) {
    if (at < value.length && !isBetweenWords(value.charCodeAt(at))) continue;
    const issuer = at > start ? issuerOf(value.slice(start, at)) : null;
    if (issuer !== null && issuers.includes(issuer)) return true;
    start = at + 1;
  }
  return false;
}

/** Space, tab, comma, and what quotes or assigns a parameter. */
function isBetweenWords(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x2c || code === 0x22 || code === 0x3d;
}

/** The `iss` that a JWT claims, or null for anything else. Nothing is verified: a claim suffices to refuse. */
function issuerOf(token: string): string | null {
  if (token.length > MAX_TOKEN_LENGTH || token.length < MIN_TOKEN_LENGTH) return null;
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  try {
    const payload: unknown = JSON.parse(Buffer.from(parts[1] as string, 'base64url').toString('utf8'));
    const iss = typeof payload === 'object' && payload !== null && 'iss' in payload ? payload.iss : null;
    return typeof iss === 'string' && iss !== '' ? iss : null;
  } catch {
    return null;
  }
}
