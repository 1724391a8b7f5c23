/**
 * The policy snapshot (DESIGN section 6): all that a sidecar needs to judge a call, in one numbered document that the policy
 * key signs. JSON; this file owns its shape, `parse-snapshot.ts` its strict reading.
 */

import type { DetailType } from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';

/** Name of a scope in the catalogue, an RFC 6749 scope-token. */
export type ScopeName = string;

/**
 * What the last link of a call has to be bound to: `route` the route that is called (`rte`), `pod` that and one use at the pod
 * that it is sent to (`once`).
 */
export type RouteBinding = 'none' | 'route' | 'pod';

export const ROUTE_BINDINGS: readonly RouteBinding[] = ['none', 'route', 'pod'];

/** Ways in which an app names the request that its call belongs to, the strongest first (WIRE.md section 5). */
export const CONTEXT_WAYS = ['context', 'baggage', 'trace'] as const;
export type ContextWay = (typeof CONTEXT_WAYS)[number];

/** One operation of a service, from its OpenAPI document or its .proto. */
export interface SnapshotRoute {
  /** Upper-case HTTP method, or `*`; gRPC methods are `POST`. */
  readonly method: string;
  /** `/orders/{id}`; a last segment `{+rest}` takes the rest of the path. gRPC: `/package.Service/Method`. */
  readonly template: string;
  readonly operation: string;
  /** Scopes that a call needs, all of them. */
  readonly scopes: readonly ScopeName[];
  /** Scopes that this route may hand on to further services (`x-behalf.passes`); counts at the entry. */
  readonly passes: readonly ScopeName[];
  /** Whether a root for this route is never reused. */
  readonly fresh: boolean;
  readonly bind: RouteBinding;
  /** Types of `authorization_details` of which the call has to have an entry (`x-behalf.details`); asked for at the entry. */
  readonly details: readonly string[];
  /** Whether an entry lets requests in without any credential (`x-behalf.public`); absent for no. Then it needs no scopes. */
  readonly public?: boolean;
}

/** A service: what its sidecar serves, and where. */
export interface SnapshotService {
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
  readonly protocol: 'http' | 'grpc';
  readonly routes: readonly SnapshotRoute[];
  /** `host:port` of mTLS ports. */
  readonly endpoints: readonly string[];
}

/** A workload that may act: the scopes it may obtain at the entry, and the edges on which it acts for itself. */
export interface SnapshotWorkload {
  readonly name: string;
  readonly owner: string;
  readonly reason: string;
  /** Scopes at most of roots that it may obtain for users; null where it is no entry. */
  readonly entry_ceiling: readonly ScopeName[] | null;
  /** Calls on its own authority: to whom, with which scopes. */
  readonly own: readonly { readonly to: string; readonly scopes: readonly ScopeName[] }[];
  /** Whether it may defer work that outlives its request, where the consent says so too; absent for no. */
  readonly deferrable?: boolean;
}

/** Who may call whom at all. */
export interface SnapshotEdge {
  readonly from: string;
  readonly to: string;
  /** Scopes at most that go over this edge (`narrowTo`); null for no narrowing. */
  readonly narrow_to: readonly ScopeName[] | null;
  /** Deepest link (`del_max_depth`) of a chain that goes over this edge, counted from the entry's first; null for no limit. */
  readonly max_depth: number | null;
  /** SPIFFE IDs, the only ones to which the receiver and whoever follows may hand the chain on (`next`); null for no limit. */
  readonly next: readonly SpiffeId[] | null;
  /** Weakest way in which the calling app may name its request on this edge; null: as `settings.min_context`. */
  readonly min_context: ContextWay | null;
}

/** What an exit's calls carry for the one outside: a token of our authority's for that audience (RFC 8693, RFC 9068). */
export interface ExitToken {
  /** `aud` of the token; one exit each, as users have a pseudonym an audience. */
  readonly audience: string;
  /** `client_id` of the token: by what name we are known there. It names no workload and no app of a user's. */
  readonly client_id: string;
  /** What each scope of the mesh is called there; a scope that does not stand here is not told. */
  readonly scopes: { readonly [name: ScopeName]: string };
  /** Longest life in seconds; never longer than what is left of the chain. */
  readonly ttl_s: number;
  /** Whether the token names the workloads of the chain (`act`, RFC 8693 section 4.1). */
  readonly actor: boolean;
}

/** How the one outside proves itself; absent for an origin without TLS. */
export interface ExitTls {
  /** PEM of the only CAs that count; null: those of the machine. */
  readonly ca: string | null;
  /** Name that its certificate has to have; null: the origin's host. */
  readonly server_name: string | null;
}

/** A destination outside the mesh. A delegation never goes there, only what the exit says. */
export interface SnapshotExit {
  readonly owner: string;
  readonly reason: string;
  /** `https://host[:port]`, or `http://…`, which the policy folder has to allow by `plain`. */
  readonly origin: string;
  /** Workloads that may call it. */
  readonly from: readonly SpiffeId[];
  /** Operations that may be called; those of `security` scopes of the mesh. */
  readonly routes: readonly SnapshotRoute[];
  /** Scopes of calls on the workload's own authority, where a call names no request; null: there are none such. */
  readonly own: readonly ScopeName[] | null;
  /** Whether its name may stand for an address of loopback, link or a private network. */
  readonly private_addresses: boolean;
  readonly tls: ExitTls | null;
  readonly token: ExitToken | null;
}

export interface SnapshotSettings {
  /** Seconds for which a root may be reused for the same presented credential; 0 to 30. */
  readonly root_reuse_s: number;
  /** Oldest live state that still counts, a source, in seconds. */
  readonly max_staleness_s: { readonly authority: number; readonly ca: number };
  /** Longest life of a running stream in seconds. */
  readonly stream_max_age_s: number;
  /** Weakest way in which an app may name its request, where the edge does not say; `trace` forbids none. */
  readonly min_context: ContextWay;
}

export interface PolicySnapshot {
  readonly version: 1;
  readonly number: number;
  readonly trust_domain: string;
  readonly issued_at: number;
  readonly valid_until: number;
  readonly scopes: { readonly [name: ScopeName]: { readonly title: string; readonly description: string } };
  /** Types of `authorization_details` beside those that every verifier knows. */
  readonly detail_types: readonly DetailType[];
  /** Keyed by SPIFFE ID. */
  readonly services: { readonly [id: string]: SnapshotService };
  readonly workloads: { readonly [id: string]: SnapshotWorkload };
  readonly edges: readonly SnapshotEdge[];
  /** By name. */
  readonly exits: { readonly [name: string]: SnapshotExit };
  /** `iss` of tokens of other issuers that the authority may take for users, and that have no business inside the mesh. */
  readonly token_issuers: readonly string[];
  /** Cedar text: policies by id, and the schema in Cedar's human syntax. */
  readonly cedar: { readonly schema: string; readonly policies: { readonly [id: string]: string } };
  readonly settings: SnapshotSettings;
}
