/**
 * Encryption of the authority's private keys at rest: one key from the passphrase by scrypt (RFC 7914), each secret by
 * AES-256-GCM with a fresh nonce, its name as additional data, so that sealed secrets cannot be swapped.
 * What it does not do: protect keys while the process runs.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';

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

const MIN_PASSPHRASE_LENGTH = 8;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';
/** 32 MiB and about 100 ms; OWASP's first choice for scrypt needs four times as much and gives no more against a random passphrase. */
const DEFAULTS = { cost: 2 ** 15, blockSize: 8, parallelization: 1 } as const;
const MAX_COST = 2 ** 20;

/** Parameters for a new vault. */
export function newVaultParameters(): VaultParameters {
  return { kdf: 'scrypt', ...DEFAULTS, saltHex: randomBytes(SALT_BYTES).toString('hex') };
}

/**
 * Derives the key; takes about a tenth of a second.
 * @throws {BehalfError} `key_unusable` for a passphrase that is too short or parameters out of bounds
 */
export function openVault(passphrase: string, parameters: VaultParameters): Vault {
  if (passphrase.length < MIN_PASSPHRASE_LENGTH) {
    throw new BehalfError('key_unusable', {
      why: `the passphrase is shorter than ${MIN_PASSPHRASE_LENGTH} characters`,
    });
  }
  const { cost, blockSize, parallelization, saltHex } = parameters;
  if (!(cost >= DEFAULTS.cost && cost <= MAX_COST && blockSize >= 8 && blockSize <= 32)) {
    throw new BehalfError('key_unusable', { why: 'scrypt parameters are out of bounds' });
  }
  const maxmem = 256 * cost * blockSize;
  const key = scryptSync(passphrase, Buffer.from(saltHex, 'hex'), KEY_BYTES, {
    cost,
    blockSize,
    parallelization,
    maxmem,
  });
  return {
    seal: (name, secret) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(associatedData(name));
      return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    },
    open: (name, sealed) => {
      try {
        const nonce = sealed.subarray(0, NONCE_BYTES);
        const tag = sealed.subarray(sealed.length - TAG_BYTES);
        const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
        decipher.setAAD(associatedData(name)).setAuthTag(tag);
        const body = sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES);
        return Buffer.concat([decipher.update(body), decipher.final()]);
      } catch (cause) {
        throw new BehalfError(
          'key_unusable',
          { key: name, why: 'wrong passphrase, or the stored key was changed' },
          { cause },
        );
      }
    },
  };
}

function associatedData(name: string): Buffer {
  return Buffer.from(`behalf-ca-key-v1\0${name}`, 'utf8');
}
