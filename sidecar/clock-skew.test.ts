/** A peer whose clock is off: the difference is measured when it connects, named where a time check fails, and on record. */
import http2 from 'node:http2';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mintLink } from '../delegation/index.ts';
import type { TestIdentity } from '../identity/testing/issuer.ts';
import { startHttp1App, type TestApp } from './testing/apps.ts';
import { eventually } from './testing/eventually.ts';
import { startTestMesh, type TestMesh, type TestSidecar } from './testing/mesh.ts';
import { shopSnapshot } from './testing/shop.ts';
import { clockSetting } from './wire/peer-clock.ts';

/** More than the 30 s that a token may lie ahead, and than a loaded machine takes for one packet. */
const AHEAD_MS = 90_000;
const TOLERANCE_MS = 5_000;

let mesh: TestMesh;
let app: TestApp;
let payments: TestSidecar;
let orders: TestIdentity;

beforeAll(async () => {
  mesh = await startTestMesh(shopSnapshot());
  app = await startHttp1App();
  payments = await mesh.sidecar('payments', {
    mesh: { listen: '127.0.0.1:0' },
    app: { address: app.address, protocol: 'http1' },
  });
  orders = await mesh.issuer.issue(mesh.id('orders'));
});

afterAll(async () => {
  await mesh.close();
  await app.close();
});

test('a link from a clock that is far ahead is refused, and the refusal names the skew that was measured', async () => {
  const { status, code, detail, hop } = await callAs({ aheadMs: AHEAD_MS, tellsTime: true });
  expect({ status, code }).toEqual({ status: 401, code: 'delegation_not_yet_valid' });
  const skewS = Number(/skewS: (-?[\d.]+)/.exec(detail)?.[1]);
  expect(Math.abs(skewS - AHEAD_MS / 1000)).toBeLessThan(TOLERANCE_MS / 1000);
  expect(detail).toMatch(/iat: \d+, nowS: \d+/);
  const skewMs = await skewOnRecord(hop);
  expect(Math.abs(skewMs - AHEAD_MS)).toBeLessThan(TOLERANCE_MS);
});

test('a peer that is behind has a negative skew, also where the call is allowed', async () => {
  const { status, hop } = await callAs({ aheadMs: 0, tellsTime: true, saysMs: -10_000 });
  expect(status).toBe(200);
  const skewMs = await skewOnRecord(hop);
  expect(Math.abs(skewMs + 10_000)).toBeLessThan(TOLERANCE_MS);
});

test('a peer that tells no time is judged alike, and nothing is claimed of its clock', async () => {
  const { code, detail, hop } = await callAs({ aheadMs: AHEAD_MS, tellsTime: false });
  expect(code).toBe('delegation_not_yet_valid');
  expect(detail).toContain('skewS: null');
  expect(await skewOnRecord(hop)).toBe(0);
});

let counter = 0;

interface Reply {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** Base64url hop id of the call. */
  readonly hop: string;
}

/** One call by `orders`, whose clock is off by that much; `saysMs`: it tells another time than it signs with. */
async function callAs(as: { aheadMs: number; tellsTime: boolean; saysMs?: number }): Promise<Reply> {
  const { privateKeyPem, certificateChainPem } = orders.current();
  const [host, port] = (payments.ready.mesh as string).split(':');
  const socket = connect({
    host,
    port: Number(port),
    key: privateKeyPem,
    cert: certificateChainPem,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['behalf-h2/1'],
  });
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  const toldMs = Date.now() + (as.saysMs ?? as.aheadMs);
  const session = http2.connect('http://payments', {
    createConnection: () => socket,
    settings: as.tellsTime ? { customSettings: clockSetting(toldMs) } : {},
  });
  session.on('error', () => undefined);
  const { fields, hop } = requestOf(as.aheadMs);
  const stream = session.request([
    ':method',
    'POST',
    ':path',
    '/charges',
    ':scheme',
    'http',
    ':authority',
    'a',
    ...fields,
  ]);
  const chunks: Buffer[] = [];
  let status = 0;
  stream.on('response', (headers) => {
    status = Number(headers[':status']);
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.end();
  await new Promise((resolve, reject) => {
    stream.on('close', resolve);
    stream.on('error', reject);
  });
  session.destroy();
  if (status === 200) return { status, code: '', detail: '', hop };
  return { status, hop, ...(JSON.parse(Buffer.concat(chunks).toString()) as { code: string; detail: string }) };
}

function requestOf(aheadMs: number): { fields: string[]; hop: string } {
  counter += 1;
  const id = Buffer.alloc(12);
  id.writeUInt32BE(counter, 8);
  const root = mesh.root(orders, 'orders:read payments:charge');
  const nowS = (Date.now() + aheadMs) / 1000;
  const jti = Buffer.alloc(12, counter);
  const chain = mintLink({ parent: root, to: mesh.id('payments'), signer: orders.current(), nowS, jti });
  const hop = id.toString('base64url');
  return {
    hop,
    fields: [
      'txn-token',
      chain.txnToken,
      'delegation-chain',
      chain.delegationChain,
      'delegation-credentials',
      chain.delegationCredentials,
      'delegation-hop',
      `${hop}.0.${Buffer.alloc(12, 9).toString('base64url')}`,
    ],
  };
}

async function skewOnRecord(hop: string): Promise<number> {
  let skewMs = Number.NaN;
  await eventually(() => {
    const found = mesh.hops().find(({ hopId }) => hopId.toString('base64url') === hop);
    expect(found).toBeDefined();
    skewMs = found?.skewMs ?? Number.NaN;
  });
  return skewMs;
}
