/** Making WITs: the CA's side of WIRE.md section 1. */
import type { KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { CERTIFICATE_BACKDATE_S } from '../clock.ts';
import { signCompactJws } from '../jws.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import { parseWit, WIT_TYP } from './wit.ts';

/** What the CA states. Times in whole seconds. */
export interface WitClaims {
  readonly sub: SpiffeId;
  /** True time of issue; `nbf` is written `CERTIFICATE_BACKDATE_S` earlier. */
  readonly iat: number;
  /** At most the end of the certificate issued with it. */
  readonly exp: number;
  readonly jti: string;
  /** The workload's P-256 key for links, public or private: only the point is written. */
  readonly linkKey: KeyObject;
  /** base64url SHA-256 of the certificate's DER. */
  readonly certificateS256: string;
}

/**
 * Signs a WIT with a key of the trust domain's `wit-svid` bundle entry, and reads it back, so that none leaves that receivers
 * would refuse for its form.
 * @throws {BehalfError} `key_unusable` for a link key that is not P-256; `wit_invalid` for claims out of form
 */
export function mintWit(
  { sub, iat, exp, jti, linkKey, certificateS256 }: WitClaims,
  by: { key: KeyObject; kid: string },
): string {
  if (linkKey.asymmetricKeyType !== 'ec') throw new BehalfError('key_unusable', { why: 'the link key is not P-256' });
  const { crv, x, y } = linkKey.export({ format: 'jwk' });
  if (crv !== 'P-256') throw new BehalfError('key_unusable', { why: 'the link key is not P-256' });
  const payload = {
    sub,
    iat,
    nbf: iat - CERTIFICATE_BACKDATE_S,
    exp,
    jti,
    cnf: { jwk: { kty: 'EC', crv, x, y, alg: 'ES256' }, 'x5t#S256': certificateS256 },
  };
  return parseWit(signCompactJws({ typ: WIT_TYP, alg: 'ES256', kid: by.kid }, payload, by.key)).compact;
}
