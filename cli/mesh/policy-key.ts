/** The operator's policy key (Ed25519): made once, kept in the state directory for its owner alone. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { BehalfError } from '../../errors/index.ts';
import type { NamedJwk, StatementKey } from '../../identity/index.ts';

export interface PolicyKey extends StatementKey {
  /** As the bundle names it. */
  readonly publicJwk: NamedJwk;
}

/**
 * Opens the key in `file`, or makes one there.
 * @throws {BehalfError} `key_unusable` where the file holds another kind of key
 */
export function openPolicyKey(file: string): PolicyKey {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  }
  return readPolicyKey(file);
}

/** Reads an existing key. @throws {BehalfError} `key_unusable` */
export function readPolicyKey(file: string): PolicyKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(file));
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'is not a private key in PEM' }, { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new BehalfError('key_unusable', { file, why: `is of type ${key.asymmetricKeyType}, not ed25519` });
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  // RFC 7638 section 3.2 with the members of RFC 8037: in this order, no others.
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x }))
    .digest('base64url');
  return { kid, key, publicJwk: { ...jwk, kid } };
}
