/**
 * A file of secrets, encrypted under a passphrase: scrypt (RFC 7914, N = 2^15, r = 8, p = 1), then AES-256-GCM with the
 * header as additional data. JSON, so that an operator can see what it is; nothing in it is of use without the passphrase.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import { keyFromPassphrase, NONCE_BYTES, SALT_BYTES, seal, TAG_BYTES, unseal } from '../../identity/at-rest/index.ts';

const FORMAT = 'behalf-sealed-v1';

interface SealedFile {
  readonly format: string;
  readonly salt: string;
  readonly iv: string;
  readonly tag: string;
  readonly sealed: string;
}

/**
 * Gives the secrets of a file, or null where there is none yet.
 * @throws {BehalfError} `key_unusable` for another format, a wrong passphrase or a changed file
 */
export function readSealed(file: string, passphrase: string): unknown {
  if (!existsSync(file)) return null;
  try {
    const { format, salt, iv, tag, sealed } = JSON.parse(readFileSync(file, 'utf8')) as SealedFile;
    if (format !== FORMAT) throw new Error(`not of format ${FORMAT}`);
    const bytes = Buffer.concat([iv, sealed, tag].map((part) => Buffer.from(part, 'base64url')));
    const opened = unseal(keyFromPassphrase(passphrase, Buffer.from(salt, 'base64url')), FORMAT, bytes);
    return JSON.parse(opened.toString('utf8'));
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'wrong passphrase, or the file was changed' }, { cause });
  }
}

/** Writes secrets to a file of mode 0600. If we stop before the rename, the file is as it was. */
export function writeSealed(file: string, passphrase: string, secrets: unknown): void {
  const salt = randomBytes(SALT_BYTES);
  const sealed = seal(keyFromPassphrase(passphrase, salt), FORMAT, Buffer.from(JSON.stringify(secrets), 'utf8'));
  const content: SealedFile = {
    format: FORMAT,
    salt: salt.toString('base64url'),
    iv: sealed.toString('base64url', 0, NONCE_BYTES),
    tag: sealed.toString('base64url', sealed.length - TAG_BYTES),
    sealed: sealed.toString('base64url', NONCE_BYTES, sealed.length - TAG_BYTES),
  };
  const draft = `${file}.new`;
  const descriptor = openSync(draft, 'w', 0o600);
  writeSync(descriptor, `${JSON.stringify(content)}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(draft, file);
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory);
  closeSync(directory);
}
