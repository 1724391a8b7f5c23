/**
 * Free ports for parts that must be known to others before they run, and that must come back on the same port after a
 * restart. Found by binding, all at once, then let go.
 */
import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { BehalfError } from '../../errors/index.ts';

/**
 * Below the range from which the kernel takes ports of outgoing connections: one of those would otherwise now and then sit on
 * a port between our finding it and the part's listening.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;
/** Ports are taken in blocks of this many; the first of a block is its claim. */
const BLOCK = 64;
const MAX_TRIES = 500;

export interface FreePorts {
  readonly ports: readonly number[];
  /** Lets others have the blocks. Who listens on the ports is not touched. */
  release(): Promise<void>;
}

/**
 * Finds `count` different TCP ports that are free on `host` now. Until `release` nobody else who asks this function, in any
 * process, gets one of them: each block is claimed by listening on its first port. So two meshes that start at once do not
 * take each other's ports between the finding and the listening.
 * @throws {BehalfError} `port_in_use` where so many cannot be found
 */
export async function findFreePorts(count: number, host = '127.0.0.1'): Promise<FreePorts> {
  const claims: Server[] = [];
  const ports: number[] = [];
  const release = async (): Promise<void> => {
    await Promise.all(claims.splice(0).map(close));
  };
  for (let tries = 0; ports.length < count; tries++) {
    if (tries >= MAX_TRIES) {
      await release();
      throw new BehalfError('port_in_use', {
        address: `${host}:${LOWEST}-${HIGHEST}`,
        why: 'no free port was found',
      });
    }
    const first = LOWEST + randomInt(Math.floor((HIGHEST - LOWEST) / BLOCK)) * BLOCK;
    const claim = await tryToListen(first, host);
    if (claim === null) continue;
    claims.push(claim);
    for (let port = first + 1; port < first + BLOCK && ports.length < count; port++) {
      if (await isFree(port, host)) ports.push(port);
    }
  }
  return { ports, release };
}

/**
 * Checks that a port which a person chose can be listened on.
 * @throws {BehalfError} `port_in_use`
 */
export async function checkPortFree(port: number, what: string, host = '127.0.0.1'): Promise<void> {
  if (!(await isFree(port, host)))
    throw new BehalfError('port_in_use', { address: `${host}:${port}`, wantedFor: what });
}

/** Claims the blocks of ports found earlier, for a mesh that comes back; null where another has one of them. */
export async function claimAgain(ports: readonly number[], host = '127.0.0.1'): Promise<(() => Promise<void>) | null> {
  const claims: Server[] = [];
  const release = async (): Promise<void> => {
    await Promise.all(claims.splice(0).map(close));
  };
  for (const first of new Set(ports.map((port) => port - ((port - LOWEST) % BLOCK)))) {
    const claim = await tryToListen(first, host);
    if (claim === null) {
      await release();
      return null;
    }
    claims.push(claim);
  }
  return release;
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = await tryToListen(port, host);
  if (server !== null) await close(server);
  return server !== null;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function tryToListen(port: number, host: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer((stranger) => stranger.destroy());
    server.unref();
    server.once('error', () => resolve(null));
    server.listen({ port, host, exclusive: true }, () => resolve(server));
  });
}
