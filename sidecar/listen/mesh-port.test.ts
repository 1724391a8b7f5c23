/** The mTLS port against peers that a sidecar would never be: each misbehaviour has its code, and stands on record. */
import http2 from 'node:http2';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mintLink, type OutgoingChain } from '../../delegation/index.ts';
import { certificatesToPem } from '../../identity/svid/index.ts';
import { createTestIssuer, newKeyPair, type TestIdentity } from '../../identity/testing/issuer.ts';
import { startHttp1App, type TestApp } from '../testing/apps.ts';
import { eventually } from '../testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from '../testing/mesh.ts';
import { shopSnapshot } from '../testing/shop.ts';

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let orders: TestIdentity;
let storefront: TestIdentity;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  payments = await mesh.sidecar('payments', {
    mesh: { listen: '127.0.0.1:0' },
    app: { address: app.address, protocol: 'http1' },
  });
  orders = await mesh.issuer.issue(mesh.id('orders'));
  storefront = await mesh.issuer.issue(mesh.id('storefront'));
  await eventually(async () => expect((await call(orders, chainFields(chain()))).status).toBe(200));
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

interface Reply {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
}

type Credentials = { readonly key: string; readonly cert: string } | null;

function credentialsOf(identity: TestIdentity): Credentials {
  const { privateKeyPem, certificateChainPem } = identity.current();
  return { key: privateKeyPem, cert: certificateChainPem };
}

function dial(credentials: Credentials, alpn: string): Promise<TLSSocket> {
  const [host, port] = (payments.ready.mesh as string).split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(port),
      ...credentials,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [alpn],
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

async function session(credentials: Credentials, alpn = 'behalf-h2/1'): Promise<http2.ClientHttp2Session> {
  const socket = await dial(credentials, alpn);
  const opened = http2.connect('http://payments', { createConnection: () => socket });
  opened.on('error', () => undefined);
  return opened;
}

function askOn(on: http2.ClientHttp2Session, fields: readonly string[], path = '/charges'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stream = on.request([
      ':method',
      'POST',
      ':path',
      path,
      ':scheme',
      'http',
      ':authority',
      'payments',
      ...fields,
    ]);
    let head: http2.IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (headers) => {
      head = headers;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () =>
      resolve({ status: Number(head[':status']), headers: head, body: Buffer.concat(chunks).toString() }),
    );
    stream.end();
  });
}

async function call(as: TestIdentity | Credentials, fields: readonly string[], path?: string): Promise<Reply> {
  const opened = await session(as !== null && 'spiffeId' in as ? credentialsOf(as) : as);
  const reply = await askOn(opened, fields, path);
  opened.destroy();
  return reply;
}

/** storefront -> orders -> payments, or as changed. */
function chain({ signer = orders, to = 'payments', scope = 'orders:read payments:charge' } = {}): OutgoingChain {
  const nowS = Date.now() / 1000;
  const root = mesh.root(signer, scope);
  return mintLink({ parent: root, to: mesh.id(to), signer: signer.current(), nowS, jti: Buffer.alloc(12, counter) });
}

let counter = 0;
function hop(): string {
  counter += 1;
  const id = Buffer.alloc(12);
  id.writeUInt32BE(7, 0);
  id.writeUInt32BE(counter, 8);
  return `${id.toString('base64url')}.0.${Buffer.alloc(12, 9).toString('base64url')}`;
}

function chainFields({ txnToken, delegationChain, delegationCredentials }: OutgoingChain, hopField = hop()): string[] {
  return [
    'txn-token',
    txnToken,
    'delegation-chain',
    delegationChain,
    'delegation-credentials',
    delegationCredentials,
    'delegation-hop',
    hopField,
  ];
}

function flip(text: string, at: number): string {
  const other = text[at] === 'A' ? 'B' : 'A';
  return text.slice(0, at) + other + text.slice(at + 1);
}

async function expectCode(reply: Promise<Reply>, code: string): Promise<Reply> {
  const got = await reply;
  expect(JSON.parse(got.body)).toMatchObject({ code });
  expect(got.headers['delegation-error']).toBe(code);
  return got;
}

test('a peer without a certificate is told peer_unauthenticated, and is on record', async () => {
  const reply = await expectCode(call(null, []), 'peer_unauthenticated');
  expect(reply.status).toBe(401);
  await eventually(() =>
    expect(mesh.refusedConnections()).toContainEqual(
      expect.objectContaining({ code: 'peer_unauthenticated', listener: 'mesh', peerAddress: '127.0.0.1' }),
    ),
  );
});

test('a peer with a certificate of another authority is told peer_untrusted, and is on record with its serial', async () => {
  const foreign = await createTestIssuer('shop.example');
  const stranger = await foreign.issue(mesh.id('orders'));
  await expectCode(call(stranger, chainFields(chain())), 'peer_untrusted');
  const serial = stranger.current().serialHex;
  await eventually(() => {
    const refused = mesh.refusedConnections().find(({ code }) => code === 'peer_untrusted');
    expect(BigInt(`0x${refused?.peerSerial.toString('hex')}`)).toBe(BigInt(`0x${serial}`));
  });
});

test('an expired certificate does not get in', async () => {
  const keys = newKeyPair();
  const [leaf, issuing] = await mesh.issuer.leaf(mesh.id('orders'), { keys, ttlS: -30 });
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  await expectCode(call({ key, cert: certificatesToPem([leaf as Buffer, issuing as Buffer]) }, []), 'peer_untrusted');
});

test('an authenticated peer without a chain is told delegation_missing, over HTTP/1.1 too', async () => {
  await expectCode(call(orders, ['delegation-hop', hop()]), 'delegation_missing');
  const socket = await dial(credentialsOf(orders), 'http/1.1');
  socket.write('POST /charges HTTP/1.1\r\nHost: payments\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  const text = await new Promise<string>((resolve) => {
    let all = '';
    socket.on('data', (chunk) => {
      all += chunk;
    });
    socket.on('end', () => resolve(all));
  });
  expect(text).toMatch(/^HTTP\/1\.1 403 /);
  expect(text).toContain('"code":"delegation_missing"');
});

test('a captured chain is worth nothing from another workload or at another service', async () => {
  const captured = chain();
  expect((await call(orders, chainFields(captured))).status).toBe(200);
  await expectCode(call(storefront, chainFields(captured)), 'delegation_holder_mismatch');
  await expectCode(call(orders, chainFields(chain({ to: 'inventory' }))), 'delegation_wrong_audience');
});

test('one changed byte of the root, a link or a WIT is refused', async () => {
  const sent = chain();
  const lastOf = (text: string) => text.length - 3;
  await expectCode(
    call(orders, chainFields({ ...sent, delegationChain: flip(sent.delegationChain, lastOf(sent.delegationChain)) })),
    'delegation_bad_signature',
  );
  await expectCode(
    call(orders, chainFields({ ...sent, txnToken: flip(sent.txnToken, lastOf(sent.txnToken)) })),
    'delegation_bad_signature',
  );
  const wit = sent.delegationCredentials;
  await expectCode(
    call(orders, chainFields({ ...sent, delegationCredentials: flip(wit, lastOf(wit)) })),
    'delegation_broken_chain',
  );
});

test('what is repeated, half there or by an unknown slot is malformed', async () => {
  const fields = chainFields(chain());
  await expectCode(call(orders, [...fields, 'txn-token', fields[1] as string]), 'delegation_malformed');
  await expectCode(call(orders, fields.slice(2)), 'delegation_malformed');
  await expectCode(call(orders, fields.slice(0, 6)), 'delegation_malformed');
  await expectCode(
    call(orders, ['delegation-slot', Buffer.alloc(16).toString('base64url'), 'delegation-hop', hop()]),
    'delegation_malformed',
  );
});

test('a hop id is good once, and a slot goes on naming its chain on its own connection only', async () => {
  const sent = chain();
  const id = hop();
  const opened = await session(credentialsOf(orders));
  const first = await askOn(opened, chainFields(sent, id));
  expect(first.status).toBe(200);
  const slot = first.headers['delegation-slot'] as string;
  expect(slot).toBe(sent.chainId.toString('base64url'));
  const again = await askOn(opened, ['delegation-slot', slot, 'delegation-hop', id]);
  expect(again.status).toBe(409);
  expect(JSON.parse(again.body)).toMatchObject({ code: 'delegation_replayed' });
  expect((await askOn(opened, ['delegation-slot', slot, 'delegation-hop', hop()])).status).toBe(200);
  opened.destroy();
  await expectCode(call(orders, ['delegation-slot', slot, 'delegation-hop', hop()]), 'delegation_malformed');
});

test('a scope that is not there is refused with insufficient_scope, and the refusal is on record', async () => {
  const reply = await expectCode(call(orders, chainFields(chain({ scope: 'orders:read' }))), 'insufficient_scope');
  const { hop: id } = JSON.parse(reply.body);
  await eventually(() =>
    expect(mesh.hops().find((event) => event.hopId.toString('base64url') === id)).toMatchObject({
      code: 'insufficient_scope',
      side: 'SIDE_CALLEE',
      refusedBy: mesh.id('payments'),
    }),
  );
});

test('the app gets no mesh fields of the peer’s making', async () => {
  const reply = await call(orders, [
    ...chainFields(chain()),
    'delegation-subject',
    'u:forged',
    'delegation_scopes',
    'all',
  ]);
  expect(reply.status).toBe(200);
  expect(reply.body).not.toContain('forged');
  expect(reply.body.toLowerCase()).not.toContain('delegation_scopes');
});

test('a peer that sends one bad chain after another is told rate_limited, and keeps the chain that it has been using', async () => {
  const good = chain();
  const opened = await session(credentialsOf(orders));
  expect((await askOn(opened, chainFields(good))).status).toBe(200);
  const bad = { ...good, delegationChain: flip(good.delegationChain, good.delegationChain.length - 3) };
  const codes = new Set<unknown>();
  for (let sent = 0; sent < 10_000 && !codes.has('rate_limited'); sent += 100) {
    const replies = await Promise.all(Array.from({ length: 100 }, () => askOn(opened, chainFields(bad))));
    for (const { headers } of replies) codes.add(headers['delegation-error']);
  }
  expect(codes).toEqual(new Set(['delegation_bad_signature', 'rate_limited']));
  expect((await askOn(opened, chainFields(good))).status).toBe(200);
  opened.destroy();
});
