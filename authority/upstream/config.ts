/** Configuration of other issuers whose access tokens the authority takes: the organisation's own OpenID provider. */

export interface UpstreamClientConfig {
  /** Its `client_id` in the mesh; no other client's. */
  readonly id: string;
  /** What the issuer calls it; absent: the same. */
  readonly upstreamId?: string;
  readonly name: string;
  /** Scopes at most of what users let it do. */
  readonly scopes: readonly string[];
  readonly purpose: string;
  /** RFC 3339. */
  readonly until: string;
  /** RFC 3339; what was withdrawn before is consented to anew. */
  readonly since?: string;
  readonly owner: string;
  readonly reason: string;
}

export interface UpstreamIssuerConfig {
  readonly issuer: string;
  readonly jwksUri?: string;
  readonly audience: string;
  readonly tokenType?: 'at+jwt' | 'JWT' | 'id_token';
  readonly algorithms?: readonly string[];
  readonly claims?: {
    readonly subject?: string;
    readonly client?: string;
    readonly scopes?: string;
    readonly scopeMap?: Readonly<Record<string, readonly string[]>>;
  };
  readonly clients: readonly UpstreamClientConfig[];
}

/** RFC 3339 with a zone. */
const TIME = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$';
const NAME = { type: 'string', minLength: 1, maxLength: 128 } as const;
const SCOPES = { type: 'array', maxItems: 64, items: NAME } as const;
const CLAIM = { type: 'string', minLength: 1, maxLength: 128 } as const;

const CLIENT_SCHEMA = {
  type: 'object',
  description: 'An application for which the administrator consents in place of its users, up to these limits.',
  additionalProperties: false,
  required: ['id', 'name', 'scopes', 'purpose', 'until', 'owner', 'reason'],
  properties: {
    id: { ...NAME, description: 'Its `client_id` in the mesh; no other client may have it.' },
    upstreamId: { ...NAME, description: 'What the issuer calls it; absent, the same.' },
    name: { ...NAME, description: 'What users and operators see it called.' },
    scopes: { ...SCOPES, description: 'Scopes at most that its users’ consents cover.' },
    purpose: {
      type: 'string',
      minLength: 1,
      maxLength: 200,
      description: 'What for; goes into consents and policies.',
    },
    until: { type: 'string', pattern: TIME, description: 'End of the consents (RFC 3339).' },
    since: {
      type: 'string',
      pattern: TIME,
      description: 'A consent that was withdrawn before this time is given anew; absent, what was withdrawn stays so.',
    },
    owner: { ...NAME, description: 'Who answers for it.' },
    reason: { type: 'string', minLength: 1, maxLength: 500, description: 'Why the administrator consents.' },
  },
} as const;

/** JSON Schema of the member `upstreamIssuers`. */
export const UPSTREAM_ISSUERS_SCHEMA = {
  type: 'array',
  maxItems: 16,
  description:
    'Other issuers whose access tokens are exchanged for roots. Users keep a record of consent here, which the administrator gives in their place; it is listed and withdrawn like any other.',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['issuer', 'audience', 'clients'],
    properties: {
      issuer: {
        type: 'string',
        format: 'uri',
        description: 'Its `iss`, compared exactly; https, or http on loopback.',
      },
      jwksUri: {
        type: 'string',
        format: 'uri',
        description: 'Where its keys are; absent, what `/.well-known/openid-configuration` below the issuer says.',
      },
      audience: { ...NAME, maxLength: 512, description: 'The `aud` that its tokens for this mesh have.' },
      tokenType: {
        type: 'string',
        enum: ['at+jwt', 'JWT', 'id_token'],
        default: 'at+jwt',
        description:
          'Form of its access tokens: `at+jwt` as RFC 9068 has them, `JWT` for those of no type of their own. `id_token` takes ID tokens in their place, which were made for someone else’s eyes: only where nothing else is to be had.',
      },
      algorithms: {
        type: 'array',
        minItems: 1,
        items: { type: 'string', enum: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] },
        default: ['ES256', 'EdDSA', 'PS256', 'RS256'],
        description: 'Signature algorithms that are taken.',
      },
      claims: {
        type: 'object',
        description: 'Where its tokens say what.',
        additionalProperties: false,
        properties: {
          subject: { ...CLAIM, default: 'sub', description: 'Who the user is; has to be theirs for ever.' },
          client: { ...CLAIM, description: 'Which application; absent, `client_id`, else `azp`.' },
          scopes: { ...CLAIM, default: 'scope', description: 'What was granted; a text with spaces, or a list.' },
          scopeMap: {
            type: 'object',
            description: 'Its scopes in the mesh’s words; those not named count for nothing. Absent: the same words.',
            additionalProperties: SCOPES,
          },
        },
      },
      clients: { type: 'array', minItems: 1, maxItems: 1_000, items: CLIENT_SCHEMA },
    },
  },
} as const;
