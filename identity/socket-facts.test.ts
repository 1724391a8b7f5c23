import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ownerOfTcpPeer, peerOfUnixSocket } from './socket-facts.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function pair(options: ListenOptions): Promise<{ accepted: Socket; client: Socket; server: Server }> {
  const server = createServer();
  server.listen(options);
  await once(server, 'listening');
  const address = server.address();
  const client =
    typeof address === 'string' ? connect(address) : connect({ port: address?.port ?? 0, host: options.host ?? '' });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  closing.push(
    () => server.close(),
    () => client.destroy(),
    () => accepted.destroy(),
  );
  return { accepted, client, server };
}

test('the peer of a Unix socket has our own uid, gid and pid', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'behalf-facts-'));
  closing.push(() => rmSync(dir, { recursive: true }));
  const { accepted } = await pair({ path: join(dir, 's') });
  expect(peerOfUnixSocket(accepted)).toEqual({ uid: process.getuid?.(), gid: process.getgid?.(), pid: process.pid });
});

test('a TCP socket has no Unix peer', async () => {
  const { accepted } = await pair({ host: '127.0.0.1', port: 0 });
  expect(peerOfUnixSocket(accepted)).toBeNull();
});

test('the owner of a TCP client on this machine is its uid', async () => {
  const { accepted } = await pair({ host: '127.0.0.1', port: 0 });
  expect(ownerOfTcpPeer(accepted)).toBe(process.getuid?.());
});

test('a client that reaches a dual-stack listener over IPv4 is found too', async (context) => {
  const made = await pair({ host: '::', port: 0 }).catch(() => null);
  if (made === null) {
    process.stderr.write('not run: a dual-stack listener, as this machine has no IPv6\n');
    return context.skip();
  }
  const address = made.server.address();
  const client = connect({ port: typeof address === 'object' ? (address?.port ?? 0) : 0, host: '127.0.0.1' });
  closing.push(() => client.destroy());
  const [accepted] = (await once(made.server, 'connection')) as [Socket];
  closing.push(() => accepted.destroy());
  expect(ownerOfTcpPeer(accepted)).toBe(process.getuid?.());
});

test('a client that has closed is nobody, not root', async () => {
  const { accepted, client } = await pair({ host: '127.0.0.1', port: 0 });
  client.destroy();
  await once(client, 'close');
  expect(ownerOfTcpPeer(accepted)).toBeNull();
});
