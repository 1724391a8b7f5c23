/** The configuration of each part of a mesh on one machine, as its file under `config/` holds it. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { CaConfig } from '../../ca/config.ts';
import type { CollectorConfig } from '../../collector/config.ts';
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
function tokenFile(dir: StateDir, name: string): string {
  return dir.file('tokens', name);
}

function trustOf({ dir, bundleFile, port }: MeshPaths, plan: MeshPlan, name: string): TrustConfig {
  return {
    caAddress: port('ca'),
    bundleFile,
    attest: { joinTokenFile: tokenFile(dir, name) },
    ...(plan.certificateTtlS === undefined ? {} : { ttlS: plan.certificateTtlS }),
  };
}

/** The plan's service of that name. @throws {BehalfError} `config_invalid` */
function serviceNamed(plan: MeshPlan, name: string, wantedBy: string): ServicePlan {
  const found = plan.services.find((service) => service.name === name);
  if (found === undefined)
    throw new BehalfError('config_invalid', { key: wantedBy, why: `names ${name}, which is no service here` });
  return found;
}

export function sidecarConfig(paths: MeshPaths, plan: MeshPlan, service: ServicePlan): SidecarConfig {
  const { dir, port } = paths;
  const { name, id, entry, allowedUid, exits = [] } = service;
  const address = appAddress(paths, service);
  return {
    trust: trustOf(paths, plan, name),
    dataDir: dir.folder('sidecars', name),
    service: id,
    collectorAddress: service.reachCollector?.(port('collector')) ?? port('collector'),
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
    ...(exits.length === 0
      ? {}
      : { exits: exits.map((exit) => ({ name: exit, listen: port(`${name}/exit/${exit}`) })) }),
    ...(entry === undefined ? {} : { entry: { ...entry, listen: port(`${name}/entry`) } }),
    ...(service.traceId === undefined ? {} : { context: { traceId: service.traceId } }),
    ...(allowedUid === undefined ? {} : { allowedUid }),
    workloadApi: { socket: dir.socket(`${name}.sock`) },
  };
}

/** Where a service listens, `host:port`; null for a workload that only calls. */
export function appAddress({ port }: MeshPaths, { name, address, program }: ServicePlan): string | null {
  return address ?? (program === undefined ? null : port(`${name}/app`));
}

export function caConfig({ dir, port, caSocket }: MeshPaths, { trustDomain, certificateTtlS }: MeshPlan): CaConfig {
  return {
    dataDir: dir.folder('ca'),
    trustDomain,
    listen: port('ca'),
    unixSocket: caSocket,
    passphraseFile: passphraseFile(dir, 'ca'),
    collectorAddress: port('collector'),
    ...(certificateTtlS === undefined ? {} : { ttlS: certificateTtlS, allowShortLives: true }),
  };
}

export function collectorConfig(paths: MeshPaths, plan: MeshPlan): CollectorConfig {
  return {
    trust: trustOf(paths, plan, 'collector'),
    dataDir: paths.dir.folder('collector'),
    listen: paths.port('collector'),
  };
}

/** What of it is the plan's is judged by the authority's own schema when it starts. */
export function authorityConfig(paths: MeshPaths, plan: MeshPlan): object {
  return {
    trust: trustOf(paths, plan, 'authority'),
    dataDir: paths.dir.folder('authority'),
    listen: paths.port('authority'),
    passphraseFile: passphraseFile(paths.dir, 'authority'),
    http: { listen: paths.port('authority/http') },
    collectorAddress: paths.port('collector'),
    devMode: true,
    accounts: [],
    clients: [],
    ...plan.authority,
  };
}

/** The file with a random passphrase, made once: on one machine the file system's rights protect the keys, not a person's memory. */
export function passphraseFile(dir: StateDir, part: 'ca' | 'authority'): string {
  const name = `operator/${part}-passphrase`;
  if (!existsSync(dir.file(name))) dir.write(name, randomBytes(24).toString('base64url'));
  return dir.file(name);
}
