/** How the supervisor runs a part of ours, and a program of a person's. */
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Child } from './child.ts';
import type { Children } from './children.ts';
import type { MeshPaths } from './part-configs.ts';
import type { ServicePlan } from './plan.ts';

const CLI = fileURLToPath(new URL('../behalf.ts', import.meta.url));

/** Runs `behalf <command>` with that configuration, which stays under `config/` for a person to read. */
export async function startPart(
  children: Children,
  { dir }: MeshPaths,
  nodeArgs: readonly string[],
  name: string,
  command: string,
  config: object,
): Promise<Child> {
  const file = dir.write(`config/${name.replaceAll(' ', '-')}.yaml`, stringify(config));
  return children.start({
    name,
    command: process.execPath,
    args: [...nodeArgs, CLI, command, '--config', file, '--json'],
    environment: inherited(),
    isReady: 'ready-line',
  });
}

/** Runs a service's program; ready once it listens. */
export async function startProgram(
  children: Children,
  paths: MeshPaths,
  nodeArgs: readonly string[],
  service: ServicePlan,
): Promise<Child> {
  const { name, calls, exits = [], program } = service;
  const { port } = paths;
  const listen = port(`${name}/app`);
  const localApi = `http://${port(`${name}/local-api`)}`;
  const shared = `http://${port(`${name}/shared`)}`;
  const peers = Object.fromEntries(calls.map((peer) => [peer, `http://${port(`${name}/to/${peer}`)}`]));
  const outside = Object.fromEntries(exits.map((exit) => [exit, `http://${port(`${name}/exit/${exit}`)}`]));
  const { command, args, environment, cwd, uid } = program!({ listen, localApi, shared, peers, exits: outside });
  // Where a context may go: `propagate/` reads it.
  const sidecarPorts = [...Object.values(peers), ...Object.values(outside), shared, localApi]
    .map((url) => new URL(url).port)
    .join(',');
  return children.start({
    name,
    command,
    args: command === process.execPath ? [...nodeArgs, ...args] : args,
    environment: { ...inherited(), BEHALF_PORTS: sidecarPorts, ...environment },
    isReady: () => canConnect(listen),
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
  });
}

/** What children get of our environment: where programs and temporary files are, and nothing that could configure a part. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'BEHALF_LOG_LEVEL', 'LD_PRELOAD', 'FAKETIME'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]!]])),
  );
}

function canConnect(address: string): Promise<boolean> {
  const [host, port] = [
    address.slice(0, address.lastIndexOf(':')),
    Number(address.slice(address.lastIndexOf(':') + 1)),
  ];
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
      .once('close', () => resolve(false));
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('connect', () => socket.destroy());
  });
}
