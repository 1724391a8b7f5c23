/**
 * The configuration members by which every part but the CA obtains its identity: whom to trust at first, where the CA is,
 * and how to attest (DESIGN section 3). Parts take `IDENTITY_PROPERTIES` into their own JSON Schema.
 */

/** What proves to the CA who we are: a one-time token's file, or the CA's Unix socket (our uid then is the proof). */
export type AttestConfig = { readonly joinTokenFile: string } | { readonly unixSocket: string };

export interface TrustConfig {
  /** `host:port` of the CA's gRPC port. */
  readonly caAddress: string;
  /** File with the mesh bundle document that is trusted from the start. */
  readonly bundleFile: string;
  readonly attest: AttestConfig;
  /** Life asked for, in seconds; absent for the entry's. The CA may give less. */
  readonly ttlS?: number;
}

/** What each part's configuration has in common; `dataDir` is made with mode 0700 and holds keys in files of mode 0600. */
export interface IdentityConfig {
  readonly trust: TrustConfig;
  readonly dataDir: string;
}

/** JSON Schema (draft 07) of `TrustConfig`. */
const TRUST_SCHEMA = {
  type: 'object',
  description: 'How this process obtains its identity from the certificate authority.',
  additionalProperties: false,
  required: ['caAddress', 'bundleFile', 'attest'],
  properties: {
    caAddress: {
      type: 'string',
      description: 'Address of the certificate authority, `host:port`.',
      pattern: '^.+:[0-9]{1,5}$',
    },
    bundleFile: {
      type: 'string',
      description: 'File with the mesh bundle document to trust from the start, from `behalf ca init`.',
      minLength: 1,
    },
    attest: {
      description: 'What proves to the certificate authority who this process is.',
      oneOf: [
        {
          type: 'object',
          description: 'A one-time join token.',
          additionalProperties: false,
          required: ['joinTokenFile'],
          properties: {
            joinTokenFile: { type: 'string', description: 'File with the token, read when it is used.', minLength: 1 },
          },
        },
        {
          type: 'object',
          description: 'The uid of this process, seen by the certificate authority on its Unix socket.',
          additionalProperties: false,
          required: ['unixSocket'],
          properties: {
            unixSocket: {
              type: 'string',
              description: 'Path of the certificate authority’s Unix socket.',
              minLength: 1,
            },
          },
        },
      ],
    },
    ttlS: {
      type: 'integer',
      description: 'Life of certificates to ask for, in seconds; the certificate authority may give less.',
      minimum: 1,
      maximum: 86_400,
    },
  },
} as const;

/** Schema properties that every part but the CA takes into its own `properties`. */
export const IDENTITY_PROPERTIES = {
  trust: TRUST_SCHEMA,
  dataDir: {
    type: 'string',
    description: 'Directory of this process alone (mode 0700), for its keys, identity and state.',
    minLength: 1,
  },
} as const;
