/**
 * The key that signs checkpoints: Ed25519, made at the first start, in a file of mode 0600; sealed under a passphrase (scrypt, RFC
 * 7914, then AES-256-GCM) where one is configured. A key that lay open is sealed at the first start with a passphrase.
 *
 * Trusted for: the order and completeness of the record as others see it. Who has it can sign a second history, which anyone
 * who kept an earlier checkpoint can prove.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { NoteSigner } from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { keyFromPassphrase, readPassphrase, SALT_BYTES, seal, unseal } from '../../identity/at-rest/index.ts';
import type { TrustDomain } from '../../identity/index.ts';
import { writeFileAtomically } from '../../identity/own/index.ts';

const FORMAT = 'behalf-log-key-v1';

/** What a sealed key's file holds; base64url. */
interface SealedKey {
  readonly format: typeof FORMAT;
  readonly salt: string;
  readonly sealed: string;
}

/** The log's name: the checkpoint's origin and the key's name. */
function logOrigin(trustDomain: TrustDomain): string {
  return `${trustDomain}/log`;
}

/**
 * Opens the log's key, making it at the first start.
 * @throws {BehalfError} `key_unusable`
 */
export function openLogKey(file: string, trustDomain: TrustDomain, passphraseFile: string | null): NoteSigner {
  const passphrase = passphraseFile === null ? null : readPassphrase(passphraseFile);
  const stored = existsSync(file) ? readFileSync(file, 'utf8') : null;
  const key = stored === null ? generateKeyPairSync('ed25519').privateKey : parseKey(file, stored, passphrase);
  const isSealed = stored?.startsWith('{') ?? false;
  // If the process dies before the file is in place, a new key has signed nothing yet, and one that lay open still does.
  if (stored === null || (passphrase !== null && !isSealed))
    writeFileAtomically(file, encodeKey(key, passphrase), 0o600);
  return { name: logOrigin(trustDomain), key };
}

function encodeKey(key: KeyObject, passphrase: string | null): string {
  if (passphrase === null) return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const salt = randomBytes(SALT_BYTES);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const sealed: SealedKey = {
    format: FORMAT,
    salt: salt.toString('base64url'),
    sealed: seal(keyFromPassphrase(passphrase, salt), FORMAT, der).toString('base64url'),
  };
  return `${JSON.stringify(sealed)}\n`;
}

function parseKey(file: string, stored: string, passphrase: string | null): KeyObject {
  const isSealed = stored.startsWith('{');
  if (isSealed && passphrase === null)
    throw new BehalfError('key_unusable', { file, why: 'sealed, and no passphrase file is configured' });
  let key: KeyObject;
  try {
    key =
      isSealed && passphrase !== null
        ? unsealKey(JSON.parse(stored) as SealedKey, passphrase)
        : createPrivateKey(stored);
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'wrong passphrase, or the file was changed' }, { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new BehalfError('key_unusable', { file, why: 'not an Ed25519 key' });
  return key;
}

function unsealKey({ format, salt, sealed }: SealedKey, passphrase: string): KeyObject {
  if (format !== FORMAT) throw new Error(`not of format ${FORMAT}`);
  const key = keyFromPassphrase(passphrase, Buffer.from(salt, 'base64url'));
  return createPrivateKey({ key: unseal(key, FORMAT, Buffer.from(sealed, 'base64url')), format: 'der', type: 'pkcs8' });
}
