/**
 * The sidecar's configuration: its JSON Schema (for editors and for the CLI's check) and its type. One YAML file a sidecar,
 * camelCase, unknown keys refused. Defaults are named constants here and are filled in by `resolveConfig`.
 */
import { IDENTITY_PROPERTIES, type IdentityConfig } from '../identity/own/config.ts';

const DEFAULT_CONNECT_TIMEOUT_MS = 2_000;
/** Longest wait for an answer's head. */
const DEFAULT_REQUEST_TIMEOUT_MS = 60_000;

/** What one workload may take of the mTLS port: a part, so that others still get in (`listen/mesh.ts` and the relay bound the whole). */
export const DEFAULT_CONNECTIONS_PER_PEER = 1_024;
export const DEFAULT_CALLS_PER_PEER = 8_192;

/** A service that this one calls. */
export interface PeerConfig {
  /** Name by which `Host` routing and `entry.forward` know it. */
  readonly name: string;
  readonly id: string;
  /** Local port for calls to it; absent where only the shared port leads there. */
  readonly listen?: string;
  /** mTLS ports, `host:port`; absent: those of the policy snapshot. */
  readonly endpoints?: readonly string[];
}

/** A destination outside the mesh that this one calls. The policy says where it is and what may go there. */
export interface ExitConfig {
  /** Its name in the policy. */
  readonly name: string;
  /** Local port for calls to it. */
  readonly listen: string;
}

export interface AppConfig {
  /** `host:port`, or `unix:/path`. */
  readonly address: string;
  readonly protocol: 'http1' | 'h2c';
}

export interface EntryConfig {
  readonly listen: string;
  /** Name of the peer that requests go to instead of the own app. */
  readonly forward?: string;
  /** What clients outside see of a refusal: `code` the exact code, `hidden` (default) `delegation_refused`. */
  readonly refusals?: 'code' | 'hidden';
  /** Realm of `WWW-Authenticate` (RFC 6750). */
  readonly realm?: string;
  /** URL of metadata that stand elsewhere, or `off`; absent: the entry serves its own (RFC 9728). */
  readonly resourceMetadata?: string;
  /** Absent: plain, for loopback and behind a load balancer. */
  readonly tls?: EntryTlsConfig;
  /** `https://host` by which clients know this entry; absent: what each request says. */
  readonly origin?: string;
  /** Addresses and networks of the proxies before this port, whose word about a client is taken. */
  readonly trustedProxies?: readonly string[];
  /** Whether DPoP proofs need a nonce of this sidecar (RFC 9449 section 9). */
  readonly dpopNonce?: boolean;
}

export interface EntryTlsConfig {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Whether clients are asked for a certificate, which none needs (RFC 8705). */
  readonly clientCertificates?: 'request' | 'off';
}

/** The mTLS port, and how much of it one workload may take, all its replicas together. */
export interface MeshPortConfig {
  readonly listen: string;
  readonly maxConnectionsPerPeer?: number;
  readonly maxCallsPerPeer?: number;
}

export interface SidecarConfig extends IdentityConfig {
  /** SPIFFE ID of the service that this sidecar stands for; equals its own identity. */
  readonly service: string;
  readonly collectorAddress: string;
  readonly authorityAddress?: string;
  readonly authorityId?: string;
  readonly mode?: 'full' | 'mtls';
  readonly devMode?: boolean;
  readonly mesh?: MeshPortConfig;
  readonly app?: AppConfig;
  readonly localApi?: { readonly listen: string };
  readonly shared?: { readonly listen: string };
  readonly peers?: readonly PeerConfig[];
  readonly exits?: readonly ExitConfig[];
  readonly entry?: EntryConfig;
  readonly audit?: { readonly durability?: 'normal' | 'strict'; readonly maxSpoolBytes?: number };
  readonly context?: { readonly traceId?: boolean };
  readonly allowedUid?: number;
  readonly workloadApi?: { readonly socket: string };
  readonly timeouts?: { readonly connectMs?: number; readonly requestMs?: number };
}

/** A config with every default in place. */
export interface ResolvedSidecarConfig extends SidecarConfig {
  readonly mode: 'full' | 'mtls';
  readonly peers: readonly PeerConfig[];
  readonly exits: readonly ExitConfig[];
  readonly timeouts: { readonly connectMs: number; readonly requestMs: number };
}

export function resolveConfig(config: SidecarConfig): ResolvedSidecarConfig {
  return {
    ...config,
    mode: config.mode ?? 'full',
    peers: config.peers ?? [],
    exits: config.exits ?? [],
    timeouts: {
      connectMs: config.timeouts?.connectMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      requestMs: config.timeouts?.requestMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    },
  };
}

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
      'gRPC address of the authority; needed for an entry listener and for calls on own authority.',
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
      description: 'The listener for requests from outside the mesh, which bring a user’s access token.',
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
