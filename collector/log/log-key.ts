/**
 * The key that signs checkpoints: Ed25519, made at the first start, kept as PKCS#8 PEM of mode 0600, encrypted (PBES2 with
 * scrypt is not Node's; it writes PBKDF2 and AES-256-CBC) where a passphrase file is configured.
 *
 * Trusted for: the order and completeness of the record as others see it. Who has it can sign a second history, which anyone
 * who kept an earlier checkpoint can prove.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { NoteSigner } from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { TrustDomain } from '../../identity/index.ts';
import { writeFileAtomically } from '../../identity/own/index.ts';

/** Shorter passphrases are refused: the file may be copied and guessed at offline. */
const MIN_PASSPHRASE_LENGTH = 12;

/** The log's name: the checkpoint's origin and the key's name. */
export function logOrigin(trustDomain: TrustDomain): string {
  return `${trustDomain}/log`;
}

/**
 * Opens the log's key, making it at the first start.
 * @throws {BehalfError} `key_unusable`
 */
export function openLogKey(file: string, trustDomain: TrustDomain, passphraseFile: string | null): NoteSigner {
  const passphrase = passphraseFile === null ? null : readPassphrase(passphraseFile);
  // If the process dies before the file is in place, no checkpoint was signed yet and the next start makes another key.
  if (!existsSync(file)) writeFileAtomically(file, newKeyPem(passphrase), 0o600);
  return { name: logOrigin(trustDomain), key: readKey(file, passphrase) };
}

function newKeyPem(passphrase: string | null): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const encoding = { type: 'pkcs8', format: 'pem' } as const;
  const pem = privateKey.export(passphrase === null ? encoding : { ...encoding, cipher: 'aes-256-cbc', passphrase });
  return pem.toString();
}

function readKey(file: string, passphrase: string | null): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: readFileSync(file), format: 'pem', ...(passphrase === null ? {} : { passphrase }) });
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'wrong passphrase, or the file was changed' }, { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new BehalfError('key_unusable', { file, why: 'not an Ed25519 key' });
  return key;
}

function readPassphrase(file: string): string {
  let passphrase: string;
  try {
    passphrase = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'the passphrase file cannot be read' }, { cause });
  }
  if (passphrase.length < MIN_PASSPHRASE_LENGTH)
    throw new BehalfError('key_unusable', { file, why: 'the passphrase is too short' });
  return passphrase;
}
