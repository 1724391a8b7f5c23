/** What a mesh on one machine consists of: given by `behalf up`'s file, by `behalf dev pair`, or by a test. */
import type { SpiffeId, TrustDomain } from '../../identity/index.ts';
import type { EntryConfig } from '../../sidecar/config.ts';

/** A program that the supervisor runs as a service. */
export interface ServiceProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** User to run it as; needs root. */
  readonly uid?: number;
}

/** The addresses that a program may need in order to run beside its sidecar. */
export interface ProgramPorts {
  /** Where it is to listen. */
  readonly listen: string;
  readonly localApi: string;
  readonly shared: string;
  readonly peers: Readonly<Record<string, string>>;
  /** Of destinations outside the mesh, by name. */
  readonly exits: Readonly<Record<string, string>>;
}

export interface ServicePlan {
  readonly name: string;
  readonly id: SpiffeId;
  /** Where the service listens; absent where the supervisor runs it, or where there is none (a workload that only calls). */
  readonly address?: string;
  readonly protocol: 'http1' | 'h2c';
  readonly program?: (ports: ProgramPorts) => ServiceProgram;
  /** Names of the services that it calls. */
  readonly calls: readonly string[];
  /** Names of the destinations outside the mesh that it calls. */
  readonly exits?: readonly string[];
  /** `listen` is a loopback address that a person chose; a free port without it. */
  readonly entry?: Partial<EntryConfig>;
  /** Its calls may also find their request by trace id. */
  readonly traceId?: boolean;
  /** Where its sidecar reaches the collector, given the collector's own address: through a proxy, in drills that cut it off. */
  readonly reachCollector?: (collector: string) => string;
  /** Only processes of this uid may use the sidecar's local ports. */
  readonly allowedUid?: number;
}

export interface MeshPlan {
  readonly trustDomain: TrustDomain;
  /** `mtls`: no authority, no delegations; for development only. */
  readonly mode: 'full' | 'mtls';
  readonly services: readonly ServicePlan[];
  /** The policy folder, text by path (`policy/build/`); endpoints of services are filled in once their ports are known. */
  readonly policy: PolicyFiles;
  /** Members of the authority's configuration beside those that the supervisor fills in: accounts and clients. */
  readonly authority?: object;
  /** Life of certificates in seconds; lives under five minutes are for development. */
  readonly certificateTtlS?: number;
}

export type PolicyFiles = { readonly [path: string]: string };
