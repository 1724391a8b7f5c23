/** Configuration of the authority. */
import { IDENTITY_PROPERTIES, type IdentityConfig } from '../identity/own/config.ts';
import { DEFAULT_ROOT_KEY_LIFE_S, ROOT_KEY_LEAD_S } from './keys/root-keys.ts';
import type { ClientConfig } from './oauth/clients.ts';
import type { AccountConfig } from './sign-in/accounts.ts';
import { UPSTREAM_ISSUERS_SCHEMA, type UpstreamIssuerConfig } from './upstream/config.ts';

export interface AuthorityConfig extends IdentityConfig {
  readonly passphraseFile: string;
  /** gRPC. */
  readonly listen: string;
  readonly http: {
    readonly listen: string;
    readonly issuer?: string;
    readonly meshListen?: string;
    readonly trustedProxies?: readonly string[];
  };
  readonly collectorAddress: string;
  readonly accounts: readonly AccountConfig[];
  readonly clients: readonly ClientConfig[];
  readonly upstreamIssuers?: readonly UpstreamIssuerConfig[];
  readonly accessTokenTtlS?: number;
  readonly rootKeyLifeS?: number;
  readonly devMode?: boolean;
}

/** Bounds of `deferrable`: what consents bound anyway, and what still is one piece of work. */
const MAX_DEFERRED_S = 2_592_000;
const MAX_DEFERRED_USES = 1_000;

const ADDRESS = '^.+:[0-9]{1,5}$';
const NAME = { type: 'string', minLength: 1, maxLength: 128 } as const;

const ACCOUNT_SCHEMA = {
  type: 'object',
  description: 'A local account, for development.',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: { ...NAME, description: 'Name to sign in with.' },
    passwordFile: {
      type: 'string',
      minLength: 1,
      description: 'File with the password; one trailing line break is not part of it.',
    },
    passwordHash: {
      type: 'string',
      minLength: 1,
      description: 'The password’s hash, `scrypt$32768,8,1$<salt>$<hash>` in base64url.',
    },
  },
  oneOf: [{ required: ['passwordFile'] }, { required: ['passwordHash'] }],
} as const;

const CLIENT_SCHEMA = {
  type: 'object',
  description: 'An application that asks users for consent.',
  additionalProperties: false,
  required: ['id', 'name', 'redirectUris', 'scopes', 'owner', 'reason'],
  properties: {
    id: { ...NAME, description: 'Its `client_id`.' },
    name: { ...NAME, description: 'What users see it called.' },
    redirectUris: {
      type: 'array',
      minItems: 1,
      maxItems: 16,
      description: 'Where it may be answered, compared exactly; all on one host. Plain http on loopback only.',
      items: { type: 'string', format: 'uri' },
    },
    scopes: { type: 'array', maxItems: 64, description: 'Scopes that it may ask for.', items: NAME },
    owner: { ...NAME, description: 'Who answers for it.' },
    reason: { type: 'string', minLength: 1, maxLength: 500, description: 'Why it may ask.' },
    confidential: {
      type: 'object',
      description: 'For a client that can keep a secret. Absent: a public client, which proves itself by PKCE alone.',
      additionalProperties: false,
      required: ['secretFile'],
      properties: {
        secretFile: { type: 'string', minLength: 1, description: 'File with its secret, 32 random bytes or more.' },
      },
    },
    deferrable: {
      type: 'object',
      description: 'Lets it ask users to have work finished later, without them. Absent: it may not.',
      additionalProperties: false,
      required: ['maxS', 'uses'],
      properties: {
        maxS: {
          type: 'integer',
          minimum: 60,
          maximum: MAX_DEFERRED_S,
          description: 'Longest time in seconds from the request to the last use; never longer than the consent.',
        },
        uses: {
          type: 'integer',
          minimum: 1,
          maximum: MAX_DEFERRED_USES,
          description: 'How often each piece of work may be taken up.',
        },
      },
    },
  },
} as const;

/** JSON Schema (draft 07) of `AuthorityConfig`. */
export const AUTHORITY_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'behalf authority',
  type: 'object',
  additionalProperties: false,
  required: ['trust', 'dataDir', 'passphraseFile', 'listen', 'http', 'collectorAddress', 'accounts', 'clients'],
  properties: {
    ...IDENTITY_PROPERTIES,
    passphraseFile: {
      type: 'string',
      minLength: 1,
      description: 'File (mode 0600) with the passphrase that protects the keys at rest; 12 bytes or more.',
    },
    listen: {
      type: 'string',
      pattern: ADDRESS,
      description: 'Address of the gRPC port, `host:port`; port 0 takes a free one.',
    },
    http: {
      type: 'object',
      description: 'What browsers and OAuth clients use.',
      additionalProperties: false,
      required: ['listen'],
      properties: {
        listen: {
          type: 'string',
          pattern: ADDRESS,
          description: 'Address of the HTTP port; put a proxy with TLS before it, which sets `X-Forwarded-Proto`.',
        },
        issuer: {
          type: 'string',
          format: 'uri',
          description:
            'The issuer, an https origin as browsers see it. Absent: `http://` and the loopback address listened on, for development.',
        },
        trustedProxies: {
          type: 'array',
          maxItems: 64,
          items: { type: 'string', minLength: 1, maxLength: 64 },
          description:
            'Addresses and networks (`10.0.0.0/8`) of the proxies before this port. Only what they say in `X-Forwarded-For` counts for limits of sign-ins; without it all who come through one proxy share one limit.',
        },
        meshListen: {
          type: 'string',
          pattern: ADDRESS,
          description:
            'Address of an mTLS port with `/token` for workloads that exchange tokens over HTTP. Absent: none.',
        },
      },
    },
    collectorAddress: { type: 'string', pattern: ADDRESS, description: 'Address of the collector, `host:port`.' },
    accounts: {
      type: 'array',
      maxItems: 1_000,
      description: 'Local accounts, for development.',
      items: ACCOUNT_SCHEMA,
    },
    clients: {
      type: 'array',
      maxItems: 1_000,
      description: 'Applications that ask users for consent.',
      items: CLIENT_SCHEMA,
    },
    upstreamIssuers: UPSTREAM_ISSUERS_SCHEMA,
    accessTokenTtlS: {
      type: 'integer',
      minimum: 60,
      maximum: 86_400,
      default: 3_600,
      description: 'Life of access tokens in seconds, at most; they also end with their consent.',
    },
    rootKeyLifeS: {
      type: 'integer',
      minimum: 2 * ROOT_KEY_LEAD_S,
      maximum: 365 * 24 * 3_600,
      default: DEFAULT_ROOT_KEY_LIFE_S,
      description:
        'How long a key signs roots, in seconds. The next one is published an hour before its use; past ones stay published, without their private half, for 400 days.',
    },
    devMode: {
      type: 'boolean',
      default: false,
      description: 'Development: an issuer without TLS on loopback is not warned about.',
    },
  },
} as const;
