/** Configuration of the collector. */
import { IDENTITY_PROPERTIES, type IdentityConfig } from '../identity/own/config.ts';

export interface CollectorConfig extends IdentityConfig {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  /** File with the passphrase that protects the log's key at rest; absent: the key's file has mode 0600 and no more. */
  readonly passphraseFile?: string;
}

export const DEFAULT_LISTEN = '127.0.0.1:8444';

/** JSON Schema (draft 07) of `CollectorConfig`. */
export const COLLECTOR_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'behalf collector',
  type: 'object',
  additionalProperties: false,
  required: ['trust', 'dataDir', 'listen'],
  properties: {
    ...IDENTITY_PROPERTIES,
    listen: {
      type: 'string',
      description: 'Address of the gRPC port, `host:port`; port 0 takes a free one.',
      pattern: '^.+:[0-9]{1,5}$',
      default: DEFAULT_LISTEN,
    },
    passphraseFile: {
      type: 'string',
      description: 'File (mode 0600) with the passphrase that protects the key that signs the log, at rest.',
      minLength: 1,
    },
  },
} as const;
