/**
 * The sidecar's configuration as a type; `config-schema.ts` says what a file may hold. One YAML file a sidecar, camelCase.
 * Defaults are named constants here and are filled in by `resolveConfig`.
 */
import type { IdentityConfig } from '../identity/own/config.ts';

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
  readonly context?: { readonly traceId?: boolean; readonly lingerMs?: number };
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
