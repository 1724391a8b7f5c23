/** Addresses of listeners and of what is called, as configurations write them: `host:port`, `[v6]:port` or `unix:/path`. */
import type { AddressInfo, Server } from 'node:net';
import { BehalfError } from '../../errors/index.ts';
import { parseListen } from '../../identity/mtls/index.ts';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

const UNIX = 'unix:';

/** @throws {BehalfError} `config_invalid` */
export function parseAddress(text: string): Address {
  if (text.startsWith(UNIX)) return { kind: 'unix', path: text.slice(UNIX.length) };
  return { kind: 'tcp', ...parseListen(text) };
}

/**
 * Listens, and gives the address that was taken, `host:port`.
 * @throws {BehalfError} `port_in_use`
 */
export function listenAt(server: Server, text: string): Promise<string> {
  const address = parseAddress(text);
  return new Promise((resolve, reject) => {
    function onError(error: NodeJS.ErrnoException): void {
      reject(error.code === 'EADDRINUSE' ? new BehalfError('port_in_use', { address: text }, { cause: error }) : error);
    }
    server.once('error', onError);
    server.listen(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }, () => {
      server.off('error', onError);
      // An `accept` that fails, as when descriptors run out, loses that connection and not the process.
      server.on('error', ignore);
      if (address.kind === 'unix') return resolve(text);
      const { port } = server.address() as AddressInfo;
      resolve(address.host.includes(':') ? `[${address.host}]:${port}` : `${address.host}:${port}`);
    });
  });
}

function ignore(): void {}

/** Where the app listens, as Node's `http` takes it. */
export type AppAddress = { readonly host: string; readonly port: number } | { readonly socketPath: string };
