/** One signing key and its name. */
import { createPrivateKey, createPublicKey, hash, type KeyObject, type webcrypto } from 'node:crypto';
import type { NamedJwk } from '../../identity/index.ts';

type JsonWebKey = webcrypto.JsonWebKey;
type Algorithm = 'ES256' | 'EdDSA';

/** A signing key, its name, and the public half for publication. */
export interface SigningKey {
  readonly kid: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly publicJwk: NamedJwk;
}

/** Opens a private key. */
export function signingKey(jwk: JsonWebKey, alg: Algorithm): SigningKey {
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  const publicJwk = publicJwkOf(jwk, alg);
  return { kid: publicJwk.kid, key, publicKey: createPublicKey(key), publicJwk };
}

/** The public half of a key of which we may have the private one. */
export function publicJwkOf(jwk: JsonWebKey, alg: Algorithm): NamedJwk {
  const bare = createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'jwk' });
  return { ...bare, kid: thumbprintOf(bare), use: 'sig', alg } as NamedJwk;
}

/** RFC 7638 thumbprint of an EC or OKP public key. */
function thumbprintOf(jwk: JsonWebKey): string {
  const members =
    jwk.kty === 'EC' ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y } : { crv: jwk.crv, kty: jwk.kty, x: jwk.x };
  return hash('sha256', JSON.stringify(members), 'base64url');
}
