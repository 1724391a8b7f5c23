/** Names of public keys: RFC 7638 thumbprints, and the JWKs that publish them. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { NamedJwk } from '../../identity/index.ts';

/** The public JWK of an EC or OKP key with its SHA-256 thumbprint as `kid`; takes private keys too. */
export function namedJwk(key: KeyObject): NamedJwk {
  const { kty, crv, x, y } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  // RFC 7638 section 3.2: the required members in lexicographic order, no white space.
  const members = y === undefined ? { crv, kty, x } : { crv, kty, x, y };
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url');
  return { ...members, kid } as NamedJwk;
}
