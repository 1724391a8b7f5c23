/** Where a part listens, as configurations write it. */
import { BehalfError } from '../../errors/index.ts';

const MAX_PORT = 65_535;

/** `host:port`, an IPv6 host in brackets. @throws {BehalfError} `config_invalid` */
export function parseListen(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  const host = listen.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  const port = Number(listen.slice(at + 1));
  if (at < 1 || !(Number.isInteger(port) && port >= 0 && port <= MAX_PORT)) {
    throw new BehalfError('config_invalid', { listen, why: 'not host:port' });
  }
  return { host, port };
}
