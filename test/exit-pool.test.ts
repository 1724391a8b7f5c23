/** Connections to servers outside the mesh, by the pool alone: who is proved, what is agreed on, and what happens at its bounds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { RequestHead } from '../sidecar/call/head.ts';
import type { ExitTarget } from '../sidecar/call/seam.ts';
import type { Answer } from '../sidecar/wire/exchange.ts';
import { createExitPool, type ExitPool } from '../sidecar/wire/exit/pool.ts';
import { createOutsideCa, type OutsideCa, type OutsideServer, startOutside } from './mesh/outside-world.ts';

const NAME = 'api.bank.example';

let folder: string;
let ca: OutsideCa;
let pool: ExitPool;
const open: { close(): unknown }[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-exit-pool-'));
  ca = createOutsideCa(folder);
});
beforeEach(() => {
  pool = createExitPool({ connectTimeoutMs: 2_000, resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
});
afterEach(async () => {
  pool.close();
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const exitAt = (port: number, more: Partial<ExitTarget> = {}): ExitTarget => ({
  name: 'bank',
  host: NAME,
  port,
  authority: `${NAME}:${port}`,
  tls: { ca: ca.pem, serverName: null },
  privateAddresses: true,
  ...more,
});

const head = (authority: string, protocol: RequestHead['protocol'] = 'http/1.1'): RequestHead => ({
  method: 'GET',
  target: '/a',
  authority,
  headers: protocol === 'websocket' ? ['sec-websocket-version', '13'] : [],
  protocol,
});

async function outside(options: { http2?: boolean } = {}): Promise<OutsideServer> {
  const server = await startOutside(ca.issue(NAME), options);
  open.push(server);
  return server;
}

async function asked(exit: ExitTarget): Promise<string> {
  const line = await pool.line(exit, 'http/1.1');
  const answer = (await line.ask(head(exit.authority), false).answer) as Answer;
  expect(answer).toMatchObject({ kind: 'answer', head: { status: 200 } });
  return text(answer.body);
}

test('a name is called at the addresses that it was looked up to, proved by that name, in the protocol that ALPN agrees on', async () => {
  for (const http2 of [true, false]) {
    const server = await outside({ http2 });
    const exit = exitAt(server.port);
    // The second comes on the connection of the first.
    for (const _ of [1, 2]) expect(await asked(exit)).toBe('from outside');
    expect(server.seen).toHaveLength(2);
    expect(server.seen.map(({ version }) => version)).toEqual(http2 ? ['2.0', '2.0'] : ['1.1', '1.1']);
    expect(server.connections()).toBe(1);
  }
});

test('many calls at once over HTTP/1.1 take connections of their own, each proved', async () => {
  const server = await outside({ http2: false });
  const exit = exitAt(server.port);
  await Promise.all(Array.from({ length: 20 }, () => asked(exit)));
  expect(server.seen).toHaveLength(20);
});

test('another name than the policy’s, or no certificate of its CAs, is exit_untrusted, and nothing is sent', async () => {
  const server = await outside();
  const other = createOutsideCa(join(folder, 'other'));
  for (const tls of [
    { ca: ca.pem, serverName: 'bank.example' },
    { ca: other.pem, serverName: null },
    { ca: null, serverName: null },
  ])
    await expect(pool.line(exitAt(server.port, { tls }), 'http/1.1')).rejects.toMatchObject({ code: 'exit_untrusted' });
  expect(server.seen).toEqual([]);
});

test('a WebSocket has a connection of its own, over HTTP/1.1', async () => {
  const server = createServer(ca.issue(NAME));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(message)));
  await listening(server);
  open.push({ close: () => sockets.close() });
  const exit = exitAt((server.address() as AddressInfo).port);
  const line = await pool.line(exit, 'websocket');
  const answer = (await line.ask(head(exit.authority, 'websocket'), false).answer) as Answer;
  expect(answer.head.status).toBe(101);
  const echoed = new Promise<Buffer>((resolve) => answer.body.once('data', resolve));
  // A masked text frame `hi` (RFC 6455 section 5.2), its mask all zeros.
  answer.tunnel?.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
  expect((await echoed).subarray(2).toString()).toBe('hi');
  answer.tunnel?.destroy();
});

test('a server that takes the connection and says nothing is given up in time', async () => {
  const silent = createTcp(() => undefined);
  await listening(silent);
  pool = createExitPool({ connectTimeoutMs: 50, resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
  const exit = exitAt((silent.address() as AddressInfo).port);
  await expect(pool.line(exit, 'http/1.1')).rejects.toMatchObject({ code: 'upstream_unavailable' });
});

test('a resolver that says nothing is given up in time, and calls beyond the bound that wait meanwhile are overloaded', async () => {
  pool = createExitPool({ connectTimeoutMs: 200, resolve: () => new Promise(() => undefined) });
  const exit = exitAt(1);
  const waiting = Array.from({ length: 1_024 }, () => pool.line(exit, 'http/1.1'));
  const seen = Promise.allSettled(waiting);
  await expect(pool.line(exit, 'http/1.1')).rejects.toMatchObject({ code: 'overloaded' });
  for (const one of await seen) expect(one).toMatchObject({ reason: { code: 'upstream_unavailable' } });
});

test('after its end nothing is called any more', async () => {
  const server = await outside();
  await asked(exitAt(server.port));
  pool.close();
  await expect(pool.line(exitAt(server.port), 'http/1.1')).rejects.toMatchObject({ code: 'upstream_unavailable' });
});

async function listening(server: Server): Promise<void> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
}
