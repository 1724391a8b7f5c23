/** Makes the plan of a mesh from `behalf.yaml` and the policy folder that it names. */
import { dirname, resolve } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { parseMeshFile } from '../../policy/build/mesh-file.ts';
import { buildSnapshot } from '../../policy/index.ts';
import { readYaml } from '../config/load-config.ts';
import { validateConfig } from '../config/validate.ts';
import type { MeshPlan, ProgramPorts, ServicePlan, ServiceProgram } from '../mesh/plan.ts';
import { readPolicyFolder } from '../mesh/policy-folder.ts';
import { nearestName } from '../nearest.ts';
import { UP_SCHEMA, type UpFile, type UpService } from './up-file.ts';

/** Changes a service before the plan is made: the story gives each a uid of its own. */
export type AdaptService = (name: string, service: UpService) => UpService;

/**
 * Reads both.
 * @throws {BehalfError} `config_invalid`, `snapshot_invalid`
 */
export function readUpPlan(file: string, adapt: AdaptService = (_name, service) => service): MeshPlan {
  const { tree, locate } = readYaml(file);
  const up = validateConfig<UpFile>(UP_SCHEMA, tree, locate);
  const folder = resolve(dirname(file));
  const policy = readPolicyFolder(resolve(folder, up.policy));
  // The same that puts it live judges it, before anything is started that would have to end again.
  buildSnapshot({ files: policy, number: 1, issuedAtS: Date.now() / 1_000 });
  const mesh = parseMeshFile(policy['mesh.yaml'] ?? '');
  const ids = new Map<string, SpiffeId>([...mesh.workloads, ...mesh.services].map(({ name, id }) => [name, id]));
  const nameOf = (nameOrId: string): string =>
    [...ids].find(([name, id]) => name === nameOrId || id === nameOrId)?.[0] ?? nameOrId;
  const services = Object.entries(up.services).map(([name, given]): ServicePlan => {
    const id = ids.get(name);
    if (id === undefined) {
      const meant = nearestName(name, [...ids.keys()]);
      throw new BehalfError('config_invalid', {
        ...locate(['services', name]),
        key: `services.${name}`,
        why: `the policy’s mesh.yaml has no such name${meant === null ? '' : `; did you mean ${meant}?`}`,
      });
    }
    const calls = mesh.edges.filter(({ from }) => nameOf(from) === name).map(({ to }) => nameOf(to));
    const known = calls.filter((peer) => Object.hasOwn(up.services, peer));
    const exits = mesh.exits.filter(({ from }) => from.some((caller) => nameOf(caller) === name));
    const names = { calls: [...new Set(known)], exits: exits.map((exit) => exit.name) };
    return servicePlan(name, id, adapt(name, given), names, folder);
  });
  return {
    trustDomain: mesh.trustDomain,
    mode: 'full',
    services,
    policy,
    ...(up.authority === undefined ? {} : { authority: up.authority }),
  };
}

function servicePlan(
  name: string,
  id: SpiffeId,
  service: UpService,
  { calls, exits }: { readonly calls: readonly string[]; readonly exits: readonly string[] },
  folder: string,
): ServicePlan {
  const { app, protocol = 'http1', entry = false, forward, uid } = service;
  return {
    name,
    id,
    protocol,
    calls,
    ...(exits.length === 0 ? {} : { exits }),
    ...(app === undefined ? {} : { address: app }),
    ...(service.command === undefined ? {} : { program: (ports: ProgramPorts) => programOf(service, ports, folder) }),
    ...(entry !== false || forward !== undefined
      ? {
          entry: {
            refusals: 'hidden',
            ...(forward === undefined ? {} : { forward }),
            ...(typeof entry === 'string' ? { listen: entry } : {}),
          },
        }
      : {}),
    ...(service.traceId === undefined ? {} : { traceId: service.traceId }),
    ...(uid === undefined ? {} : { allowedUid: uid }),
  };
}

/** A service that the supervisor runs is told where to listen and where its sidecar takes calls, and nothing of the mesh. */
function programOf({ command, environment = {}, uid }: UpService, ports: ProgramPorts, folder: string): ServiceProgram {
  const [program, ...args] = command!;
  const peers = Object.entries({ ...ports.exits, ...ports.peers }).map(([peer, url]) => [
    `${peer.replaceAll(/[^a-z0-9]+/gi, '_').toUpperCase()}_URL`,
    url,
  ]);
  return {
    // `node` is the project's own, also for a user that has another one or none.
    command: program === 'node' ? process.execPath : program!,
    args,
    environment: {
      PORT: ports.listen.slice(ports.listen.lastIndexOf(':') + 1),
      BEHALF_LOCAL_API_URL: ports.localApi,
      ...Object.fromEntries(peers),
      ...environment,
    },
    cwd: folder,
    ...(uid === undefined ? {} : { uid }),
  };
}
