/**
 * Which port each listener of a mesh has: the one that the plan names, else one assigned once and remembered in the state
 * directory, so that a part which comes back is where the others look for it; assigned anew where one has been taken since.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { MeshPlan } from './plan.ts';
import { checkPortFree, claimAgain, findFreePorts } from './ports.ts';
import type { StateDir } from './state-dir.ts';

const FILE = 'ports.json';
const HOST = '127.0.0.1';

export interface PortAssignment {
  /** The address, `host:port`, of a listener that `assignPorts` knows. */
  (listener: string): string;
  /** Lets other meshes have ports near ours. */
  release(): Promise<void>;
}

/** Assigns ports to all listeners of a plan. @throws {BehalfError} `port_in_use` */
export async function assignPorts(plan: MeshPlan, dir: StateDir): Promise<PortAssignment> {
  const chosen = chosenAddresses(plan);
  for (const [listener, address] of chosen) await checkPortFree(portOf(address), listener);
  const listeners = listenersOf(plan).filter((listener) => !chosen.has(listener));
  const { ports, release } = (await stillFree(listeners, dir)) ?? (await assignNew(listeners, dir));
  const addressOf = (listener: string): string => {
    const address = chosen.get(listener);
    if (address !== undefined) return address;
    const port = ports[listener];
    if (port === undefined) throw new Error(`no port was assigned to ${listener}`);
    return `${HOST}:${port}`;
  };
  return Object.assign(addressOf, { release });
}

interface Assigned {
  readonly ports: Readonly<Record<string, number>>;
  release(): Promise<void>;
}

/** Addresses that a person chose, by listener. */
function chosenAddresses({ services }: MeshPlan): ReadonlyMap<string, string> {
  return new Map(
    services.flatMap(({ name, entry }) => (entry?.listen === undefined ? [] : [[`${name}/entry`, entry.listen]])),
  );
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function listenersOf(plan: MeshPlan): string[] {
  const ofService = plan.services.flatMap(({ name, program, entry, calls, exits = [] }) => [
    `${name}/mesh`,
    `${name}/local-api`,
    `${name}/shared`,
    ...(program === undefined ? [] : [`${name}/app`]),
    ...(entry === undefined ? [] : [`${name}/entry`]),
    ...calls.map((peer) => `${name}/to/${peer}`),
    ...exits.map((exit) => `${name}/exit/${exit}`),
  ]);
  return ['ca', 'collector', 'authority', 'authority/http', ...ofService];
}

async function stillFree(listeners: readonly string[], dir: StateDir): Promise<Assigned | null> {
  if (!existsSync(dir.file(FILE))) return null;
  const ports = JSON.parse(readFileSync(dir.file(FILE), 'utf8')) as Record<string, number>;
  if (listeners.some((listener) => ports[listener] === undefined)) return null;
  const release = await claimAgain(Object.values(ports));
  if (release === null) return null;
  try {
    for (const listener of listeners) await checkPortFree(ports[listener]!, listener);
    return { ports, release };
  } catch {
    await release();
    return null;
  }
}

async function assignNew(listeners: readonly string[], dir: StateDir): Promise<Assigned> {
  const { ports: free, release } = await findFreePorts(listeners.length, HOST);
  const ports = Object.fromEntries(listeners.map((listener, index) => [listener, free[index]!]));
  dir.write(FILE, `${JSON.stringify(ports, null, 2)}\n`);
  return { ports, release };
}
