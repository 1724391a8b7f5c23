/** Making roots: the authority's side of WIRE.md section 1. What may be granted, the authority decides; this writes it. */
import type { KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { signCompactJws } from '../../identity/jws.ts';
import { MAX_ROOT_BYTES, MAX_ROOT_LIFE_S } from '../limits.ts';
import { checkLife } from '../times.ts';
import { isUser, parseRoot } from './parse-root.ts';
import { ROOT_TYP, type RootClaims } from './root-claims.ts';

/** The life that roots have unless something ends earlier, in seconds. */
export const DEFAULT_ROOT_LIFE_S = 120;

/** The `aud` of a trust domain's roots: used for nothing else, so that no other reader obeys a root without its links. */
export function defaultAudience(trustDomain: string): string {
  return `spiffe://${trustDomain}/behalf/delegation`;
}

/**
 * Signs a root and reads it back, so that none leaves that receivers would refuse for its form. Times in whole seconds.
 * @throws {BehalfError} `delegation_malformed` for claims out of form or a life out of bounds; `delegation_too_large`;
 *   `delegation_holder_mismatch` for a workload's own root with another `req_wl`
 */
export function mintRoot(claims: RootClaims, by: { key: KeyObject; kid: string }): string {
  checkLife(claims.iat, claims.exp, MAX_ROOT_LIFE_S, 'root');
  if (!isUser(claims.sub) && claims.sub !== claims.req_wl) {
    throw new BehalfError('delegation_holder_mismatch', {
      why: 'a workload’s own root is for itself',
      holder: claims.req_wl,
    });
  }
  const compact = signCompactJws({ typ: ROOT_TYP, alg: 'ES256', kid: by.kid }, claims, by.key);
  if (compact.length > MAX_ROOT_BYTES) {
    throw new BehalfError('delegation_too_large', { object: 'root', size: compact.length, limit: MAX_ROOT_BYTES });
  }
  return parseRoot(compact).compact;
}
