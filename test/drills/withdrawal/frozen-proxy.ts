/** A TCP proxy that can be frozen: connections stand, nothing moves on them, and new ones are taken but led nowhere. */
import { connect, createServer, type Socket } from 'node:net';
import { parseAddress } from '../../../sidecar/wire/address.ts';

export interface FrozenProxy {
  readonly address: string;
  /** Says where it leads; gives its own address. */
  leadTo(target: string): string;
  freeze(): void;
  thaw(): void;
  close(): void;
}

export async function startFrozenProxy(): Promise<FrozenProxy> {
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  let target = '';
  let frozen = false;

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  }

  function lead(near: Socket): void {
    const at = parseAddress(target);
    if (at.kind !== 'tcp') throw new Error(`no TCP address: ${target}`);
    const far = connect({ host: at.host, port: at.port });
    keep(far);
    pass(near, far);
    pass(far, near);
  }

  function pass(from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (!frozen) from.resume();
    });
    from.on('close', () => to.destroy());
  }

  const server = createServer({ pauseOnConnect: true }, (near) => {
    keep(near);
    if (frozen) {
      waiting.push(near);
      return;
    }
    lead(near);
    near.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the proxy has no port');
  const address = `127.0.0.1:${bound.port}`;
  return {
    address,
    leadTo(next) {
      target = next;
      return address;
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const near of waiting.splice(0)) if (!near.destroyed) lead(near);
      for (const socket of sockets) socket.resume();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
