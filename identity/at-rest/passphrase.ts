/** Keys from an operator's passphrase: scrypt (RFC 7914), and the file that the passphrase comes in. */
import { scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BehalfError } from '../../errors/index.ts';
import { KEY_BYTES } from './sealing.ts';

export const SALT_BYTES = 16;

export interface ScryptCost {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

/** 32 MiB and about 100 ms a guess; OWASP's first choice needs four times as much and gives no more against a random passphrase. */
export const SCRYPT_COST: ScryptCost = { cost: 2 ** 15, blockSize: 8, parallelization: 1 };
/** Shorter passphrases are refused: what they protect may be copied and guessed at offline. */
const MIN_PASSPHRASE_BYTES = 12;

/** The key of 32 bytes that a passphrase stands for with this salt. */
export function keyFromPassphrase(passphrase: string, salt: Buffer, by: ScryptCost = SCRYPT_COST): Buffer {
  // Node counts 128 bytes times cost and block size; twice that leaves room for its own.
  return scryptSync(passphrase, salt, KEY_BYTES, { ...by, maxmem: 256 * by.cost * by.blockSize });
}

/**
 * Reads a passphrase from its file; one trailing line break is not part of it.
 * @throws {BehalfError} `key_unusable` where it cannot be read or is too short
 */
export function readPassphrase(file: string): string {
  let passphrase: string;
  try {
    passphrase = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new BehalfError('key_unusable', { file, why: 'the passphrase file cannot be read' }, { cause });
  }
  checkPassphrase(passphrase, file);
  return passphrase;
}

/** @throws {BehalfError} `key_unusable` where it is too short; `file` names where it came from, if from a file */
export function checkPassphrase(passphrase: string, file: string | null = null): void {
  if (Buffer.byteLength(passphrase) >= MIN_PASSPHRASE_BYTES) return;
  const why = `the passphrase is shorter than ${MIN_PASSPHRASE_BYTES} bytes`;
  throw new BehalfError('key_unusable', file === null ? { why } : { file, why });
}
