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
const MAX_TRIES = 500;

/**
 * Finds `count` different TCP ports that are free on `host` now.
 * @throws {BehalfError} `port_in_use` where so many cannot be found
 */
export async function findFreePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const held: Server[] = [];
  try {
    for (let tries = 0; held.length < count; tries++) {
      if (tries >= MAX_TRIES + count)
        throw new BehalfError('port_in_use', {
          address: `${host}:${LOWEST}-${HIGHEST}`,
          why: 'no free port was found',
        });
      const server = await tryToListen(randomInt(LOWEST, HIGHEST), host);
      if (server !== null) held.push(server);
    }
    return held.map((server) => (server.address() as { port: number }).port);
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/**
 * Checks that a port which a person chose can be listened on.
 * @throws {BehalfError} `port_in_use`
 */
export async function checkPortFree(port: number, what: string, host = '127.0.0.1'): Promise<void> {
  const server = await tryToListen(port, host);
  if (server === null) throw new BehalfError('port_in_use', { address: `${host}:${port}`, wantedFor: what });
  await new Promise((resolve) => server.close(resolve));
}

function tryToListen(port: number, host: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen({ port, host, exclusive: true }, () => resolve(server));
  });
}
