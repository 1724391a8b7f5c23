/**
 * On a call inside the mesh an access token of our own authority has no business (WIRE section 1): a service in the middle
 * could trade it for a root that was never narrowed. Looked for before step 1.
 */
import { BehalfError } from '../../errors/index.ts';
import type { CallEnvironment } from './environment.ts';
import type { HeaderList } from './head.ts';

/** A longer one is no token of ours, and a shorter one no signed JWT. */
const MAX_TOKEN_LENGTH = 8_192;
const MIN_TOKEN_LENGTH = 64;

/** @throws {BehalfError} `delegation_malformed` for an RFC 9068 JWT with our authority's `iss` */
export function checkNoAccessToken({ identity }: CallEnvironment, headers: HeaderList): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') continue;
    if (holdsTokenOf(headers[i + 1] as string, identity.bundle().issuer)) {
      throw new BehalfError('delegation_malformed', {
        object: 'authorization',
        why: 'an access token inside the mesh',
      });
    }
  }
}

/** Whatever the scheme is called and however it is spaced: each word of the value that might be a JWT is looked at. */
function holdsTokenOf(value: string, issuer: string): boolean {
  for (let start = 0, at = 0; at <= value.length; at += 1) {
    if (at < value.length && !isBetweenWords(value.charCodeAt(at))) continue;
    if (at > start && issuerOf(value.slice(start, at)) === issuer) return true;
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
