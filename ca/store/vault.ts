/**
 * Encryption of the authority's private keys at rest: one key from the passphrase by scrypt (RFC 7914), each secret by
 * AES-256-GCM with a fresh nonce, its name as additional data, so that sealed secrets cannot be swapped.
 * What it does not do: protect keys while the process runs.
 */
import { randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import {
  checkPassphrase,
  keyFromPassphrase,
  SALT_BYTES,
  SCRYPT_COST,
  seal,
  unseal,
} from '../../identity/at-rest/index.ts';

/** Seals and opens secrets by name. */
export interface Vault {
  seal(name: string, secret: Buffer): Buffer;
  /** @throws {BehalfError} `key_unusable` for another passphrase, another name or a changed byte */
  open(name: string, sealed: Buffer): Buffer;
}

/** How the key was derived; stored in the clear beside what is sealed. */
export interface VaultParameters {
  readonly kdf: 'scrypt';
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly saltHex: string;
}

const MAX_COST = 2 ** 20;

/** Parameters for a new vault. */
export function newVaultParameters(): VaultParameters {
  return { kdf: 'scrypt', ...SCRYPT_COST, saltHex: randomBytes(SALT_BYTES).toString('hex') };
}

/**
 * Derives the key; takes about a tenth of a second.
 * @throws {BehalfError} `key_unusable` for a passphrase that is too short or parameters out of bounds
 */
export function openVault(passphrase: string, parameters: VaultParameters): Vault {
  checkPassphrase(passphrase);
  const { cost, blockSize, parallelization, saltHex } = parameters;
  if (!(cost >= SCRYPT_COST.cost && cost <= MAX_COST && blockSize >= 8 && blockSize <= 32)) {
    throw new BehalfError('key_unusable', { why: 'scrypt parameters are out of bounds' });
  }
  const key = keyFromPassphrase(passphrase, Buffer.from(saltHex, 'hex'), { cost, blockSize, parallelization });
  return {
    seal: (name, secret) => seal(key, placeOf(name), secret),
    open: (name, sealed) => {
      try {
        return unseal(key, placeOf(name), sealed);
      } catch (cause) {
        const why = 'wrong passphrase, or the stored key was changed';
        throw new BehalfError('key_unusable', { key: name, why }, { cause });
      }
    },
  };
}

function placeOf(name: string): string {
  return `behalf-ca-key-v1\0${name}`;
}
