/**
 * Which port each listener of a mesh has. Assigned once and remembered in the state directory, so that a part which comes back
 * is where the others look for it; assigned anew where one has been taken since.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { MeshPlan } from './plan.ts';
import { checkPortFree, findFreePorts } from './ports.ts';
import type { StateDir } from './state-dir.ts';

const FILE = 'ports.json';
const HOST = '127.0.0.1';

/** Gives the address, `host:port`, of a listener that `assignPorts` knows. */
export type PortAssignment = (listener: string) => string;

/** Assigns ports to all listeners of a plan. @throws {BehalfError} `port_in_use` */
export async function assignPorts(plan: MeshPlan, dir: StateDir): Promise<PortAssignment> {
  const listeners = listenersOf(plan);
  const ports = (await stillFree(listeners, dir)) ?? (await assignNew(listeners, dir));
  return (listener) => {
    const port = ports[listener];
    if (port === undefined) throw new Error(`no port was assigned to ${listener}`);
    return `${HOST}:${port}`;
  };
}

function listenersOf(plan: MeshPlan): string[] {
  const ofService = plan.services.flatMap(({ name, program, entry, calls }) => [
    `${name}/mesh`,
    `${name}/local-api`,
    `${name}/shared`,
    ...(program === undefined ? [] : [`${name}/app`]),
    ...(entry === undefined ? [] : [`${name}/entry`]),
    ...calls.map((peer) => `${name}/to/${peer}`),
  ]);
  return ['ca', 'collector', 'authority', 'authority/http', ...ofService];
}

async function stillFree(listeners: readonly string[], dir: StateDir): Promise<Record<string, number> | null> {
  if (!existsSync(dir.file(FILE))) return null;
  const ports = JSON.parse(readFileSync(dir.file(FILE), 'utf8')) as Record<string, number>;
  try {
    for (const listener of listeners) {
      const port = ports[listener];
      if (port === undefined) return null;
      await checkPortFree(port, listener);
    }
    return ports;
  } catch {
    return null;
  }
}

async function assignNew(listeners: readonly string[], dir: StateDir): Promise<Record<string, number>> {
  const free = await findFreePorts(listeners.length, HOST);
  const ports = Object.fromEntries(listeners.map((listener, index) => [listener, free[index]!]));
  dir.write(FILE, `${JSON.stringify(ports, null, 2)}\n`);
  return ports;
}
