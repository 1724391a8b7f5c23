import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { certificateAuthority, type Entry, registration } from '../../proto/behalf/ca/v1/ca.ts';
import { CERTIFICATE_BACKDATE_S } from '../clock.ts';
import { parseSpiffeId } from '../spiffe-id.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../testing/issuer.ts';
import { meshChannelCredentials } from './channel-credentials.ts';
import { CONNECTION_LIMITS } from './crowd.ts';
import {
  type Caller,
  connectService,
  connectUnixService,
  createGrpcServer,
  errorOfCall,
  type GrpcServer,
  meshClientTlsOptions,
  requireCaller,
} from './index.ts';

const SERVER = parseSpiffeId('spiffe://shop.example/behalf/ca');
const ORDERS = 'spiffe://shop.example/ns/demo/sa/orders';
const log = pino({ level: 'silent' });
const entry = (id: string): Entry => ({ id, spiffeId: '', selectors: [], ttlS: 0, owner: '', reason: '', createdS: 0 });

let issuer: TestIssuer;
let serverIdentity: TestIdentity;
let server: GrpcServer;
let address: string;
let seen: Caller[];
const closing: (() => void)[] = [];

beforeEach(async () => {
  issuer = await createTestIssuer('shop.example');
  serverIdentity = await issuer.issue(SERVER);
  server = createGrpcServer({ identity: serverIdentity, log, allowAnonymous: true });
  seen = [];
  server.add(registration, {
    createEntry: (request, caller) => {
      seen.push(caller);
      return { ...request, owner: caller.id ?? '' };
    },
    listEntries: (_request, caller) => ({ entries: [entry(requireCaller(caller))] }),
    deleteEntry: (request) => {
      throw new BehalfError('not_found', { id: request.id });
    },
    createJoinToken: () => {
      throw new TypeError('a bug with a secret');
    },
    revoke: () => ({ number: 7 }),
    liftBan: () => ({}),
  });
  server.add(certificateAuthority, {
    attest: () => ({}),
    renew: () => ({}),
    publishKeys: () => ({}),
    bundles: (request, stream) => {
      if (request.usingSequence === 99) throw new BehalfError('trust_unavailable', {});
      stream.write({ bundle: { payload: Buffer.from('one'), kid: 'k', signature: Buffer.alloc(0) } });
    },
  });
  address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;
});

afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await server.close();
});

function client(identity: TestIdentity, expected = SERVER) {
  const made = connectService(registration, { address, identity, expect: expected, log });
  closing.push(() => made.close());
  return made;
}

test('the handler is told whom the connection proved', async () => {
  const identity = await issuer.issue(ORDERS);
  const answer = await client(identity).createEntry(entry('1'));
  expect(answer.owner).toBe(ORDERS);
  const { serialHex, certificateS256, notBeforeS } = identity.current();
  const issuedS = notBeforeS + CERTIFICATE_BACKDATE_S;
  expect(seen).toEqual([{ id: ORDERS, serialHex, certificateS256, issuedS, unix: null }]);
});

test('metadata of the call cannot change who calls', async () => {
  const identity = await issuer.issue(ORDERS);
  const raw = new grpc.Client(
    address,
    meshChannelCredentials({ identity }, SERVER, () => Date.now() / 1000),
  );
  const metadata = new grpc.Metadata();
  for (const name of ['caller', 'x-spiffe-id', 'id', 'x-forwarded-client-cert', 'behalf-caller']) {
    metadata.add(name, 'spiffe://shop.example/behalf/operator/root');
  }
  const method = registration.definition['CreateEntry'] as grpc.MethodDefinition<Entry, Entry>;
  const answer = await new Promise<Entry>((resolve, reject) => {
    raw.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      entry('1'),
      metadata,
      (error, value) => (error === null ? resolve(value as Entry) : reject(error)),
    );
  });
  raw.close();
  expect(answer.owner).toBe(ORDERS);
});

test('two clients over two connections are never taken for each other', async () => {
  const names = ['a', 'b', 'c', 'd'].map((name) => `spiffe://shop.example/${name}`);
  const clients = await Promise.all(names.map(async (name) => client(await issuer.issue(name))));
  const calls = Array.from({ length: 80 }, (_, index) =>
    (clients[index % 4] as (typeof clients)[0]).createEntry(entry('1')),
  );
  const owners = (await Promise.all(calls)).map((answer) => answer.owner);
  expect(owners).toEqual(owners.map((_, index) => names[index % 4]));
});

test('a caller without a certificate is nobody, and a method that wants one refuses with peer_unauthenticated', async () => {
  const anonymous = connectService(registration, { address, bundle: issuer.bundle(), expect: SERVER, log });
  closing.push(() => anonymous.close());
  await anonymous.createEntry(entry('1'));
  expect(seen[0]?.id).toBeNull();
  await expect(anonymous.listEntries({})).rejects.toMatchObject({ code: 'peer_unauthenticated' });
});

test('a server that does not allow anonymous callers refuses them at the connection', async () => {
  const strict = createGrpcServer({ identity: serverIdentity, log });
  closing.push(() => void strict.close());
  let isReached = false;
  const reached = () => {
    isReached = true;
    return {};
  };
  strict.add(certificateAuthority, { attest: reached, renew: reached, publishKeys: reached, bundles: () => undefined });
  const strictAddress = `127.0.0.1:${await strict.listen({ host: '127.0.0.1', port: 0 })}`;
  const anonymous = connectService(certificateAuthority, {
    address: strictAddress,
    bundle: issuer.bundle(),
    expect: SERVER,
    log,
  });
  closing.push(() => anonymous.close());
  await expect(anonymous.attest({})).rejects.toMatchObject({ code: 'upstream_unavailable' });
  expect(isReached).toBe(false);
});

test('a client of another CA is refused before its call reaches a handler', async () => {
  const other = await createTestIssuer('shop.example');
  const stranger = await other.issue(ORDERS);
  const fooled = { ...stranger, bundle: () => issuer.bundle() };
  await expect(client(fooled).createEntry(entry('1'))).rejects.toMatchObject({ code: 'upstream_unavailable' });
  expect(seen).toEqual([]);
});

test('a server of another CA, and one with another SPIFFE ID, get no byte of the call', async () => {
  const other = await createTestIssuer('shop.example');
  await expect(client(await other.issue(ORDERS)).createEntry(entry('1'))).rejects.toMatchObject({
    code: 'upstream_unavailable',
  });
  const wrong = client(await issuer.issue(ORDERS), parseSpiffeId('spiffe://shop.example/behalf/collector'));
  await expect(wrong.createEntry(entry('1'))).rejects.toMatchObject({ code: 'upstream_unavailable' });
  expect(seen).toEqual([]);
});

test('a refusal arrives with its code and facts, a bug as internal and without its text', async () => {
  const orders = client(await issuer.issue(ORDERS));
  await expect(orders.deleteEntry({ id: 'x' })).rejects.toMatchObject({ code: 'not_found', detail: { id: 'x' } });
  const error: unknown = await orders.createJoinToken({}).catch((thrown: unknown) => thrown);
  expect(codeOf(error)).toBe('internal');
  expect(String(error)).not.toContain('secret');
});

test('streams end with the code of what their handler threw', async () => {
  const ca = connectService(certificateAuthority, {
    address,
    identity: await issuer.issue(ORDERS),
    expect: SERVER,
    log,
  });
  closing.push(() => ca.close());
  const stream = ca.bundles({ usingSequence: 99 });
  const [error] = await once(stream, 'error');
  expect(errorOfCall(error).code).toBe('trust_unavailable');
});

test('after a renewal new calls show the new certificate, on both sides', async () => {
  const identity = await issuer.issue(ORDERS);
  const orders = client(identity);
  await orders.createEntry(entry('1'));
  const before = identity.current().serialHex;
  await identity.renew();
  await serverIdentity.renew();
  await orders.createEntry(entry('2'));
  expect(seen.map((caller) => caller.serialHex)).toEqual([before, identity.current().serialHex]);
});

test('a stream on an old certificate ends before that certificate does', async () => {
  const identity = await issuer.issue(ORDERS, { ttlS: 3 });
  const ca = connectService(certificateAuthority, { address, identity, expect: SERVER, log });
  closing.push(() => ca.close());
  const stream = ca.bundles({ usingSequence: 1 });
  await once(stream, 'data');
  const { notAfterS } = identity.current();
  await identity.renew({ ttlS: 3600 });
  const [error] = await once(stream, 'error');
  expect(errorOfCall(error).code).toBe('upstream_unavailable');
  expect(Date.now() / 1000).toBeLessThanOrEqual(notAfterS);
});

test('a connection does not outlive the certificate of its client', async () => {
  const identity = await issuer.issue(ORDERS, { ttlS: 2 });
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ ...meshClientTlsOptions(identity), host, port: Number(port), ALPNProtocols: ['h2'] });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  await once(socket.resume(), 'close');
  expect(Date.now() / 1000).toBeGreaterThanOrEqual(identity.current().notAfterS - 0.1);
});

test('sessions are not resumed', async () => {
  const identity = await issuer.issue(ORDERS);
  const [host = '', port = ''] = address.split(':');
  const open = async (session?: Buffer) => {
    const options = { ...meshClientTlsOptions(identity), host, port: Number(port), ALPNProtocols: ['h2'] };
    const socket = connect(session === undefined ? options : { ...options, session });
    closing.push(() => socket.destroy());
    socket.on('error', () => undefined);
    let latest: Buffer | undefined;
    socket.on('session', (one: Buffer) => {
      latest = one;
    });
    await once(socket, 'secureConnect');
    await once(socket, 'data');
    return { session: latest ?? socket.getSession(), reused: socket.isSessionReused() };
  };
  const first = await open();
  expect((await open(first.session)).reused).toBe(false);
});

test('on a Unix socket the caller is known by uid and pid', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'behalf-mtls-'));
  closing.push(() => rmSync(dir, { recursive: true }));
  await server.listenUnix(join(dir, 'ca.sock'));
  const local = connectUnixService(registration, join(dir, 'ca.sock'));
  closing.push(() => local.close());
  await local.createEntry(entry('1'));
  expect(seen[0]?.unix).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.(), pid: process.pid });
  expect(seen[0]?.id).toBeNull();
});

test('a taken port is port_in_use', async () => {
  const second = createGrpcServer({ identity: serverIdentity, log });
  await expect(second.listen({ host: '127.0.0.1', port: Number(address.split(':')[1]) })).rejects.toMatchObject({
    code: 'port_in_use',
  });
});

test('one peer cannot take the room of all others: its connections are limited, those of others are not', async () => {
  const identity = await issuer.issue(ORDERS);
  const [host = '', port = ''] = address.split(':');
  let closed = 0;
  const open = async () => {
    const socket = connect({ ...meshClientTlsOptions(identity), host, port: Number(port), ALPNProtocols: ['h2'] });
    socket.on('error', () => undefined);
    socket.once('close', () => closed++);
    closing.push(() => socket.destroy());
    await once(socket.resume(), 'secureConnect');
  };
  for (let count = 0; count < CONNECTION_LIMITS.certificate + 5; count++) await open();
  await expect.poll(() => closed).toBe(5);
  await expect(client(await issuer.issue(ORDERS)).createEntry(entry('1'))).resolves.toMatchObject({ owner: ORDERS });
});

test('a request beyond the server’s bound is refused before it is held in memory', async () => {
  const small = createGrpcServer({ identity: serverIdentity, log, maxMessageBytes: 1_000 });
  closing.push(() => void small.close());
  small.add(certificateAuthority, {
    attest: () => ({}),
    renew: () => ({}),
    publishKeys: () => ({}),
    bundles: () => {},
  });
  const port = await small.listen({ host: '127.0.0.1', port: 0 });
  const identity = await issuer.issue(ORDERS);
  const made = connectService(certificateAuthority, { address: `127.0.0.1:${port}`, identity, expect: SERVER, log });
  closing.push(() => made.close());
  await expect(made.publishKeys({ keysJson: 'x'.repeat(500) })).resolves.toEqual({ sequence: 0 });
  await expect(made.publishKeys({ keysJson: 'x'.repeat(2_000) })).rejects.toBeInstanceOf(BehalfError);
});

test('a connection that died without a word is found dead within ten seconds, before live state goes stale', async () => {
  // In between two sockets that at some time pass nothing on any more, as a network that is cut does.
  let cut = false;
  const [, port = ''] = address.split(':');
  const middle = createServer((near) => {
    const far = createConnection(Number(port), '127.0.0.1');
    for (const socket of [near, far]) {
      socket.on('error', () => undefined);
      closing.push(() => socket.destroy());
    }
    near.on('data', (bytes) => cut || far.write(bytes));
    far.on('data', (bytes) => cut || near.write(bytes));
  });
  closing.push(() => void middle.close());
  await once(middle.listen(0, '127.0.0.1'), 'listening');
  const identity = await issuer.issue(ORDERS);
  const via = `127.0.0.1:${(middle.address() as AddressInfo).port}`;
  const ca = connectService(certificateAuthority, { address: via, identity, expect: SERVER, log });
  closing.push(() => ca.close());
  const stream = ca.bundles({ usingSequence: 1 });
  await once(stream, 'data');
  const since = performance.now();
  cut = true;
  const [error] = await once(stream, 'error');
  expect(errorOfCall(error).code).toBe('upstream_unavailable');
  expect(performance.now() - since).toBeLessThan(10_000);
});

test('a revoked peer’s connections end and its calls are refused with peer_revoked; others’ go on', async () => {
  const revoked = new Set<string>();
  const guarded = createGrpcServer({
    identity: serverIdentity,
    log,
    isRevoked: ({ certificateS256 }) => revoked.has(certificateS256),
  });
  closing.push(() => void guarded.close());
  guarded.add(certificateAuthority, {
    attest: () => ({}),
    renew: () => ({}),
    publishKeys: () => ({ sequence: 1 }),
    bundles: (_request, stream) =>
      void stream.write({ bundle: { payload: Buffer.from('one'), kid: 'k', signature: Buffer.alloc(0) } }),
  });
  const port = await guarded.listen({ host: '127.0.0.1', port: 0 });
  const callerOf = (identity: TestIdentity) => {
    const made = connectService(certificateAuthority, {
      address: `127.0.0.1:${port}`,
      identity,
      expect: SERVER,
      log,
    });
    closing.push(() => made.close());
    return made;
  };
  const bad = await issuer.issue(ORDERS);
  const good = callerOf(await issuer.issue(ORDERS));
  const standing = callerOf(bad);
  const stream = standing.bundles({});
  const ended = new Promise((resolve) => stream.on('error', resolve));
  const others = good.bundles({});
  others.on('error', () => undefined);
  await Promise.all([once(stream, 'data'), once(others, 'data')]);
  stream.resume();

  revoked.add(bad.current().certificateS256);
  expect(guarded.endRevoked()).toBe(1);
  expect(guarded.endRevoked()).toBe(0);
  await ended;
  await expect(callerOf(bad).publishKeys({ keysJson: '' })).rejects.toMatchObject({ code: 'peer_revoked' });
  expect(await good.publishKeys({ keysJson: '' })).toMatchObject({ sequence: 1 });
  others.cancel();
});

test('no TLS session is resumed, whatever the client offers', async () => {
  const identity = await issuer.issue(ORDERS);
  const [host, port] = address.split(':');
  const options = { ...meshClientTlsOptions(identity), host, port: Number(port), ALPNProtocols: ['h2'] };
  // TLS 1.3 names the session in a ticket of OpenSSL's, which stands for nothing: no state is kept and none is in it.
  const first = connect(options);
  first.on('error', () => undefined);
  const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
  first.destroy();
  const again = connect({ ...options, session });
  again.on('error', () => undefined);
  await once(again, 'secureConnect');
  expect(again.isSessionReused()).toBe(false);
  expect(again.getPeerX509Certificate()).toBeDefined();
  again.destroy();
});
