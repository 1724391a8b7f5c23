import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import { spiffeWorkloadApi } from '../../proto/spiffe/workload/workload.ts';
import { startWorkloadApi } from './index.ts';
import { newestWriter } from './newest-writer.ts';

const ORDERS = 'spiffe://shop.example/orders';
const HEADER = { 'workload.spiffe.io': 'true' };
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Started {
  readonly issuer: TestIssuer;
  readonly identity: TestIdentity;
  readonly socket: string;
  readonly abort: AbortController;
  /** Opens a stream, as a SPIFFE client does. */
  call(method: string, headers?: Record<string, string>): grpc.ClientReadableStream<Answer>;
}

/** Any of the answers. */
interface Answer {
  readonly svids: readonly { spiffeId: string; x509Svid: Buffer; x509SvidKey: Buffer; bundle: Buffer; hint: string }[];
  readonly bundles: Record<string, Buffer>;
  readonly crl: readonly Buffer[];
  readonly federatedBundles: Record<string, Buffer>;
}

async function start(options: { allowedUid?: number | null; issuedAgoS?: number } = {}): Promise<Started> {
  const { allowedUid = null, issuedAgoS = 0 } = options;
  const folder = mkdtempSync(join(tmpdir(), 'behalf-wlapi-'));
  const socket = join(folder, 'api.sock');
  const issuer = await createTestIssuer('shop.example', { clock: () => Date.now() / 1000 - issuedAgoS });
  const identity = await issuer.issue(ORDERS, { ttlS: 3600 });
  const abort = new AbortController();
  const log = pino({ level: 'silent' });
  const api = await startWorkloadApi({ socket, identity, allowedUid, log, signal: abort.signal });
  const client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure());
  closing.push(
    () => rmSync(folder, { recursive: true }),
    api.close,
    () => client.close(),
  );
  return {
    issuer,
    identity,
    socket,
    abort,
    call(method, headers = HEADER) {
      const definition = spiffeWorkloadApi.definition[method] as grpc.MethodDefinition<object, Answer>;
      const { path, requestSerialize, responseDeserialize } = definition;
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata);
      stream.on('error', () => undefined);
      closing.push(() => stream.cancel());
      return stream;
    },
  };
}

async function next(stream: grpc.ClientReadableStream<Answer>): Promise<Answer> {
  const [answer] = await once(stream, 'data');
  return answer;
}

async function statusOf(stream: grpc.ClientReadableStream<Answer>): Promise<number> {
  stream.on('data', () => undefined);
  const [error] = await once(stream, 'error');
  return error.code;
}

/** DER values one after another, by their own lengths (X.690 section 8.1.3). */
function certificatesIn(der: Buffer): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let at = 0; at < der.length; ) {
    const bytes = (der[at + 1] as number) & 0x7f;
    const end = at + 2 + bytes + der.readUIntBE(at + 2, bytes);
    found.push(new X509Certificate(der.subarray(at, end)));
    at = end;
  }
  return found;
}

test('FetchX509SVID gives the sidecar’s identity: chain, key that fits it, and the roots that it leads to', async () => {
  const { call, issuer } = await start();
  const { svids, crl, federatedBundles } = await next(call('FetchX509SVID'));
  expect({ crl, federatedBundles, count: svids.length }).toEqual({ crl: [], federatedBundles: {}, count: 1 });
  const [svid] = svids;
  if (svid === undefined) return expect.unreachable();
  expect(svid.spiffeId).toBe(ORDERS);
  const [leaf, intermediate] = certificatesIn(svid.x509Svid) as [X509Certificate, X509Certificate];
  expect(leaf.subjectAltName).toBe(`URI:${ORDERS}`);
  const key = createPrivateKey({ key: svid.x509SvidKey, type: 'pkcs8', format: 'der' });
  expect(leaf.checkPrivateKey(key)).toBe(true);
  expect(leaf.verify(intermediate.publicKey)).toBe(true);
  expect(svid.bundle).toEqual(issuer.rootDer);
  expect(intermediate.verify(new X509Certificate(svid.bundle).publicKey)).toBe(true);
});

test('a renewal and a new bundle are sent as they come', async () => {
  const { call, identity, issuer } = await start();
  const svid = call('FetchX509SVID');
  const bundles = call('FetchX509Bundles');
  const [first] = await Promise.all([next(svid), next(bundles)]);
  const renewed = next(svid);
  await identity.renew();
  const second = await renewed;
  expect(second.svids[0]?.x509Svid).not.toEqual(first.svids[0]?.x509Svid);
  expect(certificatesIn(second.svids[0]?.x509Svid as Buffer)[0]?.serialNumber.toLowerCase()).toContain(
    identity.current().serialHex.replace(/^0+/, ''),
  );
  const news = next(bundles);
  issuer.publish({ jwks_uri: 'http://127.0.0.1/jwks' });
  expect((await news).bundles).toEqual({ 'spiffe://shop.example': issuer.rootDer });
});

test('FetchX509Bundles and FetchJWTBundles name the trust domain, and no key of another use is a JWT key', async () => {
  const { call, issuer } = await start();
  expect((await next(call('FetchX509Bundles'))).bundles).toEqual({ 'spiffe://shop.example': issuer.rootDer });
  const { bundles } = await next(call('FetchJWTBundles'));
  expect(JSON.parse(String(bundles['spiffe://shop.example']))).toEqual({ keys: [] });
});

test('without the security header, or with another value, a call is INVALID_ARGUMENT', async () => {
  const { call } = await start();
  for (const headers of [{}, { 'workload.spiffe.io': 'yes' }] as Record<string, string>[]) {
    for (const method of ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles']) {
      expect(await statusOf(call(method, headers))).toBe(grpc.status.INVALID_ARGUMENT);
    }
  }
});

test('a process of another uid is PERMISSION_DENIED', async () => {
  const { call } = await start({ allowedUid: (process.getuid?.() ?? 0) + 1 });
  expect(await statusOf(call('FetchX509SVID'))).toBe(grpc.status.PERMISSION_DENIED);
});

test('methods for JWT-SVIDs are UNIMPLEMENTED', async () => {
  const { call } = await start();
  for (const method of ['FetchJWTSVID', 'ValidateJWTSVID']) {
    expect(await statusOf(call(method))).toBe(grpc.status.UNIMPLEMENTED);
  }
});

test('an SVID that has ended is not handed out: UNAVAILABLE, so that clients try again', async () => {
  const { call } = await start({ issuedAgoS: 3601 });
  expect(await statusOf(call('FetchX509SVID'))).toBe(grpc.status.UNAVAILABLE);
});

test('aborting ends the streams and takes the socket away', async () => {
  const { call, abort, socket } = await start();
  const stream = call('FetchX509SVID');
  await next(stream);
  const ended = new Promise((resolve) => stream.on('end', resolve).on('error', resolve));
  abort.abort();
  await ended;
  await expect.poll(() => existsSync(socket)).toBe(false);
});

test('a slow reader gets the newest alone when it reads again', () => {
  const written: number[] = [];
  let drained: () => void = () => undefined;
  let value = 0;
  const stream = {
    write: (message: number) => {
      written.push(message);
      return false;
    },
    once: (_event: 'drain', listener: () => void) => {
      drained = listener;
    },
  };
  const write = newestWriter(stream, () => value);
  for (value = 1; value <= 5; value += 1) write();
  expect(written).toEqual([1]);
  drained();
  expect(written).toEqual([1, 6]);
  drained();
  expect(written).toEqual([1, 6]);
  write();
  expect(written).toEqual([1, 6, 6]);
});

test('the public key of the SVID is not the one that signs links', async () => {
  const { call, identity } = await start();
  const { svids } = await next(call('FetchX509SVID'));
  const handed = createPrivateKey({ key: svids[0]?.x509SvidKey as Buffer, type: 'pkcs8', format: 'der' });
  const publicOf = (key: typeof handed) => createPublicKey(key).export({ type: 'spki', format: 'der' });
  expect(publicOf(handed)).not.toEqual(publicOf(identity.current().witKey));
});
