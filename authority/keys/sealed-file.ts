/**
 * A file of secrets, encrypted under a passphrase: scrypt (RFC 7914, N = 2^15, r = 8, p = 1), then AES-256-GCM with the
 * header as additional data. JSON, so that an operator can see what it is; nothing in it is of use without the passphrase.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { BehalfError } from '../../errors/index.ts';

const FORMAT = 'behalf-sealed-v1';
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
/** Shorter passphrases are refused: the file may be copied and guessed at offline. */
const MIN_PASSPHRASE_BYTES = 12;

interface SealedFile {
  readonly format: string;
  readonly salt: string;
  readonly iv: string;
  readonly tag: string;
  readonly sealed: string;
}

/**
 * Reads a passphrase from its file; one trailing line break is not part of it.
 * @throws {BehalfError} `key_unusable`
 */
export function readPassphrase(file: string): string {
  let passphrase: string;
  try {
    passphrase = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'the passphrase file cannot be read' }, { cause });
  }
  if (Buffer.byteLength(passphrase) < MIN_PASSPHRASE_BYTES) {
    throw new BehalfError('key_unusable', {
      file,
      why: `the passphrase is shorter than ${MIN_PASSPHRASE_BYTES} bytes`,
    });
  }
  return passphrase;
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
    const key = scryptSync(passphrase, Buffer.from(salt, 'base64url'), 32, SCRYPT);
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(iv, 'base64url'), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(FORMAT, 'ascii')).setAuthTag(Buffer.from(tag, 'base64url'));
    const opened = Buffer.concat([decipher.update(Buffer.from(sealed, 'base64url')), decipher.final()]);
    return JSON.parse(opened.toString('utf8'));
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'wrong passphrase, or the file was changed' }, { cause });
  }
}

/** Writes secrets to a file of mode 0600. If we stop before the rename, the file is as it was. */
export function writeSealed(file: string, passphrase: string, secrets: unknown): void {
  const salt = randomBytes(16);
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', scryptSync(passphrase, salt, 32, SCRYPT), iv, { authTagLength: 16 });
  cipher.setAAD(Buffer.from(FORMAT, 'ascii'));
  const sealed = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()]);
  const content: SealedFile = {
    format: FORMAT,
    salt: salt.toString('base64url'),
    iv: iv.toString('base64url'),
    tag: cipher.getAuthTag().toString('base64url'),
    sealed: sealed.toString('base64url'),
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
