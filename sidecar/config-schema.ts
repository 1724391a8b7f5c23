/** The sidecar's configuration file as a JSON Schema, for the CLI's check and for editors. Unknown keys are refused. */
import { IDENTITY_PROPERTIES } from '../identity/own/config.ts';

const address = (description: string) =>
  ({ type: 'string', description, pattern: '^(.+:[0-9]{1,5}|unix:/.+)$' }) as const;
const listener = (description: string) =>
  ({
    type: 'object',
    description,
    additionalProperties: false,
    required: ['listen'],
    properties: { listen: address('Where to listen, `host:port`; port 0 takes a free one.') },
  }) as const;
const spiffeId = (description: string) =>
  ({ type: 'string', description, pattern: '^spiffe://.+/.+', maxLength: 255 }) as const;

/** JSON Schema (draft 07) of `SidecarConfig`. */
export const SIDECAR_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Behalf sidecar',
  type: 'object',
  additionalProperties: false,
  required: ['trust', 'dataDir', 'service', 'collectorAddress'],
  properties: {
    ...IDENTITY_PROPERTIES,
    service: spiffeId('SPIFFE ID of the service that this sidecar stands for; the CA must issue exactly this one.'),
    collectorAddress: address('gRPC address of the collector: policy, live state and the record.'),
    authorityAddress: address(
      'gRPC address of the authority; needed for an entry listener, calls on own authority, tokens for exits, and work that is put off or taken up.',
    ),
    authorityId: spiffeId(
      'SPIFFE ID that the authority must prove; by default `/behalf/authority` of the own trust domain.',
    ),
    mode: {
      type: 'string',
      enum: ['full', 'mtls'],
      description: '`mtls` is mutual TLS and the record alone, without delegations and policy; only with `devMode`.',
    },
    devMode: { type: 'boolean', description: 'Allows what is for development only.' },
    mesh: {
      type: 'object',
      description: 'The mTLS port for other sidecars.',
      additionalProperties: false,
      required: ['listen'],
      properties: {
        listen: address('Where to listen, `host:port`; port 0 takes a free one.'),
        maxConnectionsPerPeer: {
          type: 'integer',
          minimum: 1,
          maximum: 4_096,
          description:
            'Connections that one workload may hold at once, all its replicas together; further ones are answered `overloaded`.',
        },
        maxCallsPerPeer: {
          type: 'integer',
          minimum: 1,
          maximum: 16_384,
          description:
            'Calls of one workload that may run at once, all its replicas together; further ones are answered `overloaded`.',
        },
      },
    },
    app: {
      type: 'object',
      description: 'The service itself, which calls let in are forwarded to.',
      additionalProperties: false,
      required: ['address', 'protocol'],
      properties: {
        address: address('Where the service listens, `host:port` or `unix:/path`.'),
        protocol: { type: 'string', enum: ['http1', 'h2c'], description: 'What it speaks; gRPC services speak `h2c`.' },
      },
    },
    localApi: listener('The port where the service asks about its delegation and for decisions.'),
    shared: listener('A port for calls to any peer, chosen by `Host` or `:authority`.'),
    peers: {
      type: 'array',
      maxItems: 1024,
      description: 'The services that this one calls.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'id'],
        properties: {
          name: { type: 'string', pattern: '^[a-z0-9][a-z0-9.-]{0,252}$', description: 'Name for `Host` routing.' },
          id: spiffeId('SPIFFE ID that the peer must prove.'),
          listen: address('Local port for calls to this peer.'),
          endpoints: {
            type: 'array',
            minItems: 1,
            maxItems: 256,
            description: 'mTLS ports of the peer; without it those of the policy snapshot are used.',
            items: address('`host:port`.'),
          },
        },
      },
    },
    exits: {
      type: 'array',
      maxItems: 256,
      description: 'Destinations outside the mesh that this one calls on a port of their own.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'listen'],
        properties: {
          name: {
            type: 'string',
            pattern: '^[a-z0-9][a-z0-9.-]{0,62}$',
            description: 'Name of the exit in the policy.',
          },
          listen: address('Local port for calls to it.'),
        },
      },
    },
    entry: {
      type: 'object',
      description:
        'The listener for requests from outside the mesh. They bring an access token (bearer, DPoP or bound to a client certificate; of the authority or of an issuer that it accepts) or a reference of deferred work; public routes need none.',
      additionalProperties: false,
      required: ['listen'],
      properties: {
        listen: address('Where to listen, `host:port`.'),
        forward: { type: 'string', description: 'Name of the peer that requests go to instead of the own service.' },
        refusals: {
          type: 'string',
          enum: ['code', 'hidden'],
          description: 'Whether clients see the exact code of a refusal or `delegation_refused`.',
        },
        realm: {
          type: 'string',
          pattern: '^[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]{1,64}$',
          description: 'Realm of `WWW-Authenticate`.',
        },
        resourceMetadata: {
          type: 'string',
          pattern: '^(off|https?://[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,512})$',
          description:
            'URL of protected resource metadata (RFC 9728) that stand elsewhere, or `off` for none; absent, the entry serves its own at `/.well-known/oauth-protected-resource`.',
        },
        tls: {
          type: 'object',
          description: 'TLS 1.2 and 1.3 of this port; absent, it is plain, for loopback and behind a load balancer.',
          additionalProperties: false,
          required: ['certificateFile', 'keyFile'],
          properties: {
            certificateFile: {
              type: 'string',
              minLength: 1,
              description: 'PEM file with the certificate and its issuers; read anew when it changes.',
            },
            keyFile: { type: 'string', minLength: 1, description: 'PEM file with its private key; read anew as well.' },
            clientCertificates: {
              type: 'string',
              enum: ['request', 'off'],
              default: 'request',
              description:
                'Whether clients are asked for a certificate (RFC 8705). None needs one: it counts for tokens that are bound to it.',
            },
          },
        },
        origin: {
          type: 'string',
          pattern: '^https?://[a-z0-9.:\\[\\]-]{1,255}$',
          description:
            'Scheme and host by which clients know this entry; DPoP proofs have to be made for it. Absent, it is what each request says.',
        },
        trustedProxies: {
          type: 'array',
          maxItems: 64,
          items: { type: 'string', minLength: 1, maxLength: 64 },
          description:
            'Addresses and networks (`10.0.0.0/8`) of the proxies before this port. From them alone `Client-Cert` (RFC 9440), `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are believed; they must set these anew.',
        },
        dpopNonce: {
          type: 'boolean',
          default: false,
          description:
            'Whether DPoP proofs need a nonce of this sidecar, so that none is good at another one or after a restart.',
        },
      },
    },
    audit: {
      type: 'object',
      description: 'The record.',
      additionalProperties: false,
      properties: {
        durability: {
          type: 'string',
          enum: ['normal', 'strict'],
          description: '`normal` survives the death of the process, `strict` that of the machine.',
        },
        maxSpoolBytes: {
          type: 'integer',
          minimum: 65_536,
          maximum: 1_099_511_627_776,
          description: 'Bytes of events that the collector does not have yet, at which calls are denied.',
        },
      },
    },
    context: {
      type: 'object',
      description: 'How calls of the service find the request that they belong to.',
      additionalProperties: false,
      properties: {
        traceId: {
          type: 'boolean',
          description:
            'Also by the trace id of `traceparent`, where `Delegation-Context` and `baggage` are not passed on. The weakest way: off unless switched on, and policy may forbid it.',
        },
        lingerMs: {
          type: 'integer',
          minimum: 1_000,
          maximum: 60_000,
          default: 10_000,
          description:
            'How long, in ms after its response ended, a request’s context still serves calls for it, unless its delegation ends before.',
        },
      },
    },
    allowedUid: {
      type: 'integer',
      minimum: 0,
      maximum: 4_294_967_294,
      description: 'Only processes of this uid may use the local ports; without it any local process may.',
    },
    workloadApi: {
      type: 'object',
      description: 'The SPIFFE Workload API.',
      additionalProperties: false,
      required: ['socket'],
      properties: { socket: { type: 'string', description: 'Path of the Unix socket.' } },
    },
    timeouts: {
      type: 'object',
      description: 'Limits of waits, in milliseconds.',
      additionalProperties: false,
      properties: {
        connectMs: { type: 'integer', minimum: 10, maximum: 60_000, description: 'Longest wait for a connection.' },
        requestMs: {
          type: 'integer',
          minimum: 10,
          maximum: 3_600_000,
          description: 'Longest wait for an answer’s head.',
        },
      },
    },
  },
} as const;
