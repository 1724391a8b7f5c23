/**
 * On a call inside the mesh an access token of our own authority has no business (WIRE section 1): a service in the middle
 * could trade it for a root that was never narrowed. Looked for before step 1.
 */
import { BehalfError } from '../../errors/index.ts';
import type { CallEnvironment } from './environment.ts';
import type { HeaderList } from './head.ts';

const BEARER = 'bearer ';
const DPOP = 'dpop ';
/** A longer one is no token of ours. */
const MAX_TOKEN_LENGTH = 8_192;

/** @throws {BehalfError} `delegation_malformed` for an RFC 9068 JWT with our authority's `iss` */
export function checkNoAccessToken({ identity }: CallEnvironment, headers: HeaderList): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') continue;
    const value = headers[i + 1] as string;
    const scheme = value.slice(0, BEARER.length).toLowerCase();
    const token =
      scheme === BEARER ? value.slice(BEARER.length) : scheme.startsWith(DPOP) ? value.slice(DPOP.length) : null;
    if (token !== null && issuerOf(token.trim()) === identity.bundle().issuer) {
      throw new BehalfError('delegation_malformed', {
        object: 'authorization',
        why: 'an access token inside the mesh',
      });
    }
  }
}

/** The `iss` that a JWT claims, or null for anything else. Nothing is verified: a claim suffices to refuse. */
function issuerOf(token: string): string | null {
  if (token.length > MAX_TOKEN_LENGTH) return null;
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
