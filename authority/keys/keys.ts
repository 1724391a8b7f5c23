/**
 * The authority's keys: one signs roots, one signs access tokens, one signs live state, and a secret for what only we read
 * again (cookies, form tokens, token handles). Three signing keys, so that no signature of one kind passes for another. A
 * key is named by its RFC 7638 thumbprint.
 */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
  type webcrypto,
} from 'node:crypto';
import { join } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import type { NamedJwk } from '../../identity/index.ts';
import { readSealed, writeSealed } from './sealed-file.ts';

/** A signing key, its name, and the public half for publication. */
export interface SigningKey {
  readonly kid: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly publicJwk: NamedJwk;
}

export interface AuthorityKeys {
  /** ES256: Transaction Tokens. The one in use: `replaceRoot` brings another. */
  readonly root: SigningKey;
  /**
   * Makes a new root key for one that was revoked and keeps it. `use` signs with it from then on; call it once the mesh knows the
   * key. If we stop between, the next start publishes the new key before it serves, and uses it.
   */
  replaceRoot(): { readonly next: SigningKey; use(): void };
  /** ES256: access tokens (RFC 9068) and ID tokens. */
  readonly token: SigningKey;
  /** Ed25519: live-state entries and heartbeats. */
  readonly liveState: SigningKey;
  /** A key of its own for each purpose, derived from the one stored secret. */
  secretFor(purpose: 'cookies' | 'form' | 'token-handle'): Buffer;
  /** Names of keys that this opening made: they are new to the mesh. */
  readonly made: readonly { readonly use: 'root' | 'token' | 'live_state'; readonly kid: string }[];
}

type JsonWebKey = webcrypto.JsonWebKey;

interface StoredKeys {
  readonly root: JsonWebKey;
  readonly token: JsonWebKey;
  readonly liveState: JsonWebKey;
  readonly secret: string;
}

/**
 * Opens `<dataDir>/authority-keys.json`, or makes all keys where there is none.
 * @throws {BehalfError} `key_unusable`
 */
export function openKeys(dataDir: string, passphrase: string): AuthorityKeys {
  const file = join(dataDir, 'authority-keys.json');
  const found = readSealed(file, passphrase);
  const stored = found === null ? makeKeys() : parseStored(found, file);
  // If we stop before this write, nothing was published or signed yet: the next start makes other keys.
  if (found === null) writeSealed(file, passphrase, stored);
  let root = signingKey(stored.root, 'ES256');
  const token = signingKey(stored.token, 'ES256');
  const liveState = signingKey(stored.liveState, 'EdDSA');
  const secret = Buffer.from(stored.secret, 'base64url');
  return {
    get root() {
      return root;
    },
    replaceRoot: () => {
      const jwk = makeP256();
      const next = signingKey(jwk, 'ES256');
      // Nothing is signed with the revoked key again, whatever happens from here on.
      writeSealed(file, passphrase, { ...stored, root: jwk });
      return {
        next,
        use: () => {
          root = next;
        },
      };
    },
    token,
    liveState,
    secretFor: (purpose) => createHmac('sha256', secret).update(`behalf-authority-${purpose}-v1`).digest(),
    made:
      found === null
        ? [
            { use: 'root', kid: root.kid },
            { use: 'token', kid: token.kid },
            { use: 'live_state', kid: liveState.kid },
          ]
        : [],
  };
}

function makeP256(): JsonWebKey {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
}

function makeKeys(): StoredKeys {
  return {
    root: makeP256(),
    token: makeP256(),
    liveState: generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }),
    secret: randomBytes(32).toString('base64url'),
  };
}

function parseStored(value: unknown, file: string): StoredKeys {
  const stored = value as Partial<StoredKeys>;
  if (!stored.root || !stored.token || !stored.liveState || typeof stored.secret !== 'string') {
    throw new BehalfError('key_unusable', { file, why: 'a key is missing' });
  }
  return stored as StoredKeys;
}

function signingKey(jwk: JsonWebKey, alg: 'ES256' | 'EdDSA'): SigningKey {
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  const publicKey = createPublicKey(key);
  const bare = publicKey.export({ format: 'jwk' });
  const kid = thumbprintOf(bare);
  return { kid, key, publicKey, publicJwk: { ...bare, kid, use: 'sig', alg } as NamedJwk };
}

/** RFC 7638 thumbprint of an EC or OKP public key. */
function thumbprintOf(jwk: JsonWebKey): string {
  const members =
    jwk.kty === 'EC' ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y } : { crv: jwk.crv, kty: jwk.kty, x: jwk.x };
  return hash('sha256', JSON.stringify(members), 'base64url');
}
