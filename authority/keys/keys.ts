/**
 * The authority's keys: some sign roots, one after the other, one signs access tokens, one signs live state, and a secret for
 * what only we read again (cookies, form tokens, token handles). Keys of their own, so that no signature of one kind passes
 * for another. A key is named by its RFC 7638 thumbprint.
 */
import { createHmac, generateKeyPairSync, randomBytes, type webcrypto } from 'node:crypto';
import { join } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import { type Clock, systemClock } from '../../identity/index.ts';
import { openRootKeyRing, type RootKeyRing } from './root-key-ring.ts';
import { DEFAULT_ROOT_KEY_LIFE_S, makeRootKey, type StoredRootKey } from './root-keys.ts';
import { readSealed, writeSealed } from './sealed-file.ts';
import { type SigningKey, signingKey } from './signing-key.ts';

export type { SigningKey } from './signing-key.ts';

export interface AuthorityKeys extends RootKeyRing {
  /** ES256: access tokens (RFC 9068) and ID tokens. */
  readonly token: SigningKey;
  /** Ed25519: live-state entries and heartbeats. */
  readonly liveState: SigningKey;
  /** A key of its own for each purpose, derived from the one stored secret. */
  secretFor(purpose: 'cookies' | 'form' | 'token-handle' | 'pseudonyms'): Buffer;
  /** Names of keys that this opening made: they are new to the mesh. */
  readonly made: readonly { readonly use: 'root' | 'token' | 'live_state'; readonly kid: string }[];
}

type JsonWebKey = webcrypto.JsonWebKey;

/** Version 2 of the file. Version 1 had one `root` key without times, and no `version`. */
interface StoredKeys {
  readonly version: 2;
  readonly root: readonly StoredRootKey[];
  readonly token: JsonWebKey;
  readonly liveState: JsonWebKey;
  readonly secret: string;
}

export interface KeyOptions {
  /** How long a root key signs, in seconds. */
  readonly rootKeyLifeS?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Opens `<dataDir>/authority-keys.json`, or makes all keys where there is none.
 * @throws {BehalfError} `key_unusable`
 */
export function openKeys(dataDir: string, passphrase: string, options: KeyOptions = {}): AuthorityKeys {
  const { rootKeyLifeS = DEFAULT_ROOT_KEY_LIFE_S, clock = systemClock } = options;
  const file = join(dataDir, 'authority-keys.json');
  const found = readSealed(file, passphrase);
  const stored = found === null ? makeKeys(clock()) : parseStored(found, file, clock());
  // If we stop before this write, nothing was published or signed yet: the next start makes other keys.
  if (found === null) writeSealed(file, passphrase, stored);
  const ring = openRootKeyRing(stored.root, {
    lifeS: rootKeyLifeS,
    clock,
    keep: (root) => writeSealed(file, passphrase, { ...stored, root }),
  });
  const token = signingKey(stored.token, 'ES256');
  const liveState = signingKey(stored.liveState, 'EdDSA');
  const secret = Buffer.from(stored.secret, 'base64url');
  const made = [
    { use: 'root', kid: ring.root.kid },
    { use: 'token', kid: token.kid },
    { use: 'live_state', kid: liveState.kid },
  ] as const;
  return {
    get root() {
      return ring.root;
    },
    get rootJwks() {
      return ring.rootJwks;
    },
    get isUnpublished() {
      return ring.isUnpublished;
    },
    published: ring.published,
    rotate: ring.rotate,
    dropRoot: ring.dropRoot,
    replaceRoot: ring.replaceRoot,
    token,
    liveState,
    secretFor: (purpose) => createHmac('sha256', secret).update(`behalf-authority-${purpose}-v1`).digest(),
    made: found === null ? made : [],
  };
}

function makeKeys(nowS: number): StoredKeys {
  return {
    version: 2,
    // The first of all needs no lead: nobody knows another.
    root: [makeRootKey(Math.floor(nowS))],
    token: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
    liveState: generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }),
    secret: randomBytes(32).toString('base64url'),
  };
}

function parseStored(value: unknown, file: string, nowS: number): StoredKeys {
  const { version = 1, root, token, liveState, secret } = value as { [name in keyof StoredKeys]?: unknown };
  if (version !== 1 && version !== 2) throw new BehalfError('key_unusable', { file, why: 'of a newer version' });
  // The age of a key of version 1 is not known: its life counts from now.
  const roots = version === 1 ? [{ jwk: root, useFromS: Math.floor(nowS), retiredS: null }] : root;
  if (!root || !Array.isArray(roots) || roots.length === 0 || !token || !liveState || typeof secret !== 'string') {
    throw new BehalfError('key_unusable', { file, why: 'a key is missing' });
  }
  return {
    version: 2,
    root: roots as readonly StoredRootKey[],
    token: token as JsonWebKey,
    liveState: liveState as JsonWebKey,
    secret,
  };
}
