/** The configuration of each part of a mesh on one machine, as its file under `config/` holds it. */
import { BehalfError } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import type { TrustConfig } from '../../identity/own/config.ts';
import type { PeerConfig, SidecarConfig } from '../../sidecar/config.ts';
import type { MeshPlan, ServicePlan } from './plan.ts';
import type { PortAssignment } from './port-assignment.ts';
import type { StateDir } from './state-dir.ts';

export interface MeshPaths {
  readonly dir: StateDir;
  readonly bundleFile: string;
  readonly caSocket: string;
  readonly port: PortAssignment;
}

/** Where the file with a part's join token is. */
export function tokenFile(dir: StateDir, name: string): string {
  return dir.file('tokens', name);
}

export function trustOf({ dir, bundleFile, port }: MeshPaths, plan: MeshPlan, name: string): TrustConfig {
  return {
    caAddress: port('ca'),
    bundleFile,
    attest: { joinTokenFile: tokenFile(dir, name) },
    ...(plan.certificateTtlS === undefined ? {} : { ttlS: plan.certificateTtlS }),
  };
}

/** The plan's service of that name. @throws {BehalfError} `config_invalid` */
export function serviceNamed(plan: MeshPlan, name: string, wantedBy: string): ServicePlan {
  const found = plan.services.find((service) => service.name === name);
  if (found === undefined)
    throw new BehalfError('config_invalid', { key: wantedBy, why: `names ${name}, which is no service here` });
  return found;
}

export function sidecarConfig(paths: MeshPaths, plan: MeshPlan, service: ServicePlan): SidecarConfig {
  const { dir, port } = paths;
  const { name, id, entry, allowedUid } = service;
  const address = appAddress(paths, service);
  return {
    trust: trustOf(paths, plan, name),
    dataDir: dir.folder('sidecars', name),
    service: id,
    collectorAddress: port('collector'),
    ...(plan.mode === 'mtls'
      ? { mode: 'mtls', devMode: true }
      : { authorityAddress: port('authority'), authorityId: partId(plan.trustDomain, 'authority') }),
    mesh: { listen: port(`${name}/mesh`) },
    ...(address === null ? {} : { app: { address, protocol: service.protocol } }),
    localApi: { listen: port(`${name}/local-api`) },
    shared: { listen: port(`${name}/shared`) },
    peers: service.calls.map((peer): PeerConfig => {
      const { id: peerId } = serviceNamed(plan, peer, `services.${name}.calls`);
      return {
        name: peer,
        id: peerId,
        listen: port(`${name}/to/${peer}`),
        // Without the authority there is no delegated call and the snapshot is not asked.
        ...(plan.mode === 'mtls' ? { endpoints: [port(`${peer}/mesh`)] } : {}),
      };
    }),
    ...(entry === undefined ? {} : { entry: { ...entry, listen: port(`${name}/entry`) } }),
    ...(allowedUid === undefined ? {} : { allowedUid }),
    workloadApi: { socket: dir.socket(`${name}.sock`) },
  };
}

/** Where a service listens, `host:port`; null for a workload that only calls. */
export function appAddress({ port }: MeshPaths, { name, address, program }: ServicePlan): string | null {
  return address ?? (program === undefined ? null : port(`${name}/app`));
}
