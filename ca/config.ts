/** Configuration of the certificate authority. */

export interface CaConfig {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly listen: string;
  readonly unixSocket: string;
  readonly passphraseFile: string;
  readonly ttlS?: number;
  readonly collectorAddress?: string;
  readonly allowShortLives?: boolean;
}

export const DEFAULT_LISTEN = '127.0.0.1:8443';
/** Life of certificates unless an entry or a request says otherwise (DESIGN section 3). */
export const DEFAULT_TTL_S = 3600;
/** Lives that may be issued, in seconds; down to `shortestS` only with `allowShortLives`. */
export const LIFE_BOUNDS = { minS: 300, maxS: 86_400, shortestS: 5 } as const;

/** What ended is kept in the books for so long, in seconds: a clock that was wrong for an hour must not cost what still lives. */
export const CLOCK_JUMP_S = 86_400;

/** JSON Schema (draft 07) of `CaConfig`. */
export const CA_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'behalf ca',
  type: 'object',
  additionalProperties: false,
  required: ['dataDir', 'trustDomain', 'listen', 'unixSocket', 'passphraseFile'],
  properties: {
    dataDir: {
      type: 'string',
      description: 'Directory of the certificate authority, made by `behalf ca init`; its owner is the first operator.',
      minLength: 1,
    },
    trustDomain: {
      type: 'string',
      description: 'Trust domain; must be the one that the directory was made for.',
      minLength: 1,
      maxLength: 255,
    },
    listen: {
      type: 'string',
      description: 'Address of the gRPC port, `host:port`; port 0 takes a free one.',
      pattern: '^.+:[0-9]{1,5}$',
      default: DEFAULT_LISTEN,
    },
    unixSocket: {
      type: 'string',
      description: 'Path of the Unix socket on which processes of this machine attest by their uid.',
      minLength: 1,
      maxLength: 100,
    },
    passphraseFile: {
      type: 'string',
      description: 'File (mode 0600) with the passphrase that protects the keys at rest.',
      minLength: 1,
    },
    ttlS: {
      type: 'integer',
      description: 'Life of certificates in seconds where neither entry nor request says otherwise.',
      minimum: LIFE_BOUNDS.shortestS,
      maximum: LIFE_BOUNDS.maxS,
      default: DEFAULT_TTL_S,
    },
    collectorAddress: {
      type: 'string',
      description: 'Address of the collector, which takes issuance events and revocations, `host:port`.',
      pattern: '^.+:[0-9]{1,5}$',
    },
    allowShortLives: {
      type: 'boolean',
      description: 'Development only: allows certificates that live less than 300 seconds.',
      default: false,
    },
  },
} as const;
