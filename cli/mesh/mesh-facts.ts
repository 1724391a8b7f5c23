/** Makes what `mesh.json` says of a mesh that has started. */
import { BehalfError } from '../../errors/index.ts';
import { partId } from '../../identity/index.ts';
import type { MeshFile, MeshService } from './mesh-file.ts';
import { appAddress, type MeshPaths } from './part-configs.ts';
import type { MeshPlan, ServicePlan } from './plan.ts';

/** The facts; `authorityReady` is the authority's ready line, null where there is none. */
export function meshFacts(
  paths: MeshPaths,
  plan: MeshPlan,
  authorityReady: Readonly<Record<string, unknown>> | null,
): MeshFile {
  const { trustDomain, services } = plan;
  return {
    version: 1,
    trustDomain,
    pid: process.pid,
    bundleFile: paths.bundleFile,
    ca: { id: partId(trustDomain, 'ca'), address: paths.port('ca'), unixSocket: paths.caSocket },
    authority: authorityReady === null ? null : authorityFacts(paths, plan, authorityReady),
    collector: {
      id: partId(trustDomain, 'collector'),
      address: paths.port('collector'),
      logDir: paths.dir.file('collector', 'log'),
    },
    services: services.map((service) => serviceFacts(paths, service)),
  };
}

function authorityFacts(
  paths: MeshPaths,
  plan: MeshPlan,
  ready: Readonly<Record<string, unknown>>,
): NonNullable<MeshFile['authority']> {
  const { issuer, jwksUri } = ready;
  if (typeof issuer !== 'string' || typeof jwksUri !== 'string')
    throw new BehalfError('process_died', { process: 'authority', how: 'its ready line names no issuer' });
  return { id: partId(plan.trustDomain, 'authority'), address: paths.port('authority'), issuer, jwksUri };
}

function serviceFacts(paths: MeshPaths, service: ServicePlan): MeshService {
  const { name, id, calls, exits = [], entry } = service;
  const url = (listener: string): string => `http://${paths.port(`${name}/${listener}`)}`;
  return {
    name,
    id,
    mesh: paths.port(`${name}/mesh`),
    localApi: url('local-api'),
    shared: url('shared'),
    entry:
      entry === undefined ? null : entry.tls === undefined ? url('entry') : url('entry').replace('http:', 'https:'),
    peers: Object.fromEntries(calls.map((peer) => [peer, url(`to/${peer}`)])),
    exits: Object.fromEntries(exits.map((exit) => [exit, url(`exit/${exit}`)])),
    app: appAddress(paths, service),
  };
}
