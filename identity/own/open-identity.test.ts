import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { certificateAuthority, type Svid } from '../../proto/behalf/ca/v1/ca.ts';
import type { Sent } from '../../proto/service.ts';
import { parseMeshBundle } from '../bundle/index.ts';
import { createGrpcServer, type GrpcServer } from '../mtls/index.ts';
import { type SignedStatement, signStatement } from '../signed-statement.ts';
import { createTestIssuer, type TestIssuer } from '../testing/issuer.ts';
import { openDataDirectory, storeIdentity } from './identity-store.ts';
import { createBackOff, openIdentity, renewalTime } from './index.ts';

const CA = 'spiffe://shop.example/behalf/ca';
const ORDERS = 'spiffe://shop.example/orders';
const log = pino({ level: 'silent' });

let dir: string;
let issuer: TestIssuer;
let server: GrpcServer;
let address: string;
let attest: () => Promise<Sent<Svid>> | Sent<Svid>;
let renewal: () => Promise<Sent<Svid>> | Sent<Svid>;
let following: () => void;
let attempts: number;
let push: ((statement: SignedStatement) => void) | null;
const closing: (() => Promise<void> | void)[] = [];

/** A server with the CA's identity whose answers a test decides. */
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-own-'));
  issuer = await createTestIssuer('shop.example');
  attempts = 0;
  push = null;
  attest = () => {
    throw new BehalfError('attestation_failed', {});
  };
  renewal = () => {
    throw new BehalfError('overloaded', {});
  };
  following = () => undefined;
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(issuer.bundle().document));
  writeFileSync(join(dir, 'token'), 'token');
  await serve(issuer);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await server.close();
  rmSync(dir, { recursive: true });
});

async function serve(from: TestIssuer): Promise<void> {
  server = createGrpcServer({ identity: await from.issue(CA), log, allowAnonymous: true });
  server.add(certificateAuthority, {
    attest: () => {
      attempts += 1;
      return attest();
    },
    renew: () => renewal(),
    publishKeys: () => ({}),
    bundles: (_request, stream) => {
      following();
      push = (bundle) => void stream.write({ bundle });
    },
  });
  address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;
}

function open(signal = new AbortController().signal) {
  const trust = {
    caAddress: address,
    bundleFile: join(dir, 'bundle.json'),
    attest: { joinTokenFile: join(dir, 'token') },
  };
  return openIdentity({ trust, dataDir: join(dir, 'data'), log, signal }).then((identity) => {
    closing.push(() => identity.close());
    return identity;
  });
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const codeFrom = (work: Promise<unknown>) => work.then(() => 'ok', codeOf);

test('a final refusal ends the wait with its code', async () => {
  expect(await codeFrom(open())).toBe('attestation_failed');
  expect(attempts).toBe(1);
});

test('an authority that is busy is asked again', async () => {
  attest = () => {
    throw new BehalfError(attempts < 3 ? 'overloaded' : 'entry_not_found', {});
  };
  expect(await codeFrom(open())).toBe('entry_not_found');
  expect(attempts).toBe(3);
});

test('a missing token file is attestation_failed', async () => {
  rmSync(join(dir, 'token'));
  expect(await codeFrom(open())).toBe('attestation_failed');
});

test('an authority that the bundle does not know never sees the token', async () => {
  await server.close();
  await serve(await createTestIssuer('shop.example'));
  const stop = new AbortController();
  const opening = codeFrom(open(stop.signal));
  setTimeout(() => stop.abort(), 500);
  expect(await opening).toBe('trust_unavailable');
  expect(attempts).toBe(0);
});

test('an SVID for a key that is not ours is refused', async () => {
  const wit = (await issuer.issue(ORDERS)).current().wit;
  attest = async () => ({ certificateChain: await issuer.leaf(ORDERS), wit });
  expect(await codeFrom(open())).toBe('key_unusable');
});

test('what is stored is taken up again; under another authority it is not', async () => {
  const stored = await storeOne();
  attest = () => {
    throw new BehalfError('attestation_failed', {});
  };
  const again = await open();
  expect(again.current().serialHex).toBe(stored);
  expect(attempts).toBe(0);
  await again.close();
  const other = await createTestIssuer('shop.example');
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(other.bundle().document));
  const stop = new AbortController();
  const opening = codeFrom(open(stop.signal));
  setTimeout(() => stop.abort(), 300);
  expect(await opening).toBe('trust_unavailable');
});

test('after its identity has ended a workload still trusts no root that was taken out meanwhile', async () => {
  const pair = generateKeyPairSync('ed25519');
  issuer.publish({ bundle_keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'b1' }] });
  const { document } = issuer.bundle();
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(document));
  const ended = await issuer.issue(ORDERS, { ttlS: 1 });
  const newer = await createTestIssuer('shop.example');
  const rotated = { ...document, keys: newer.bundle().document.keys, spiffe_sequence: document.spiffe_sequence + 1 };
  openDataDirectory(join(dir, 'data'));
  storeIdentity(join(dir, 'data'), ended.current(), parseMeshBundle(rotated));
  await until(() => Date.now() / 1000 > ended.current().notAfterS);
  // The server still shows what the old root issued: as one would who has that root's key.
  const stop = new AbortController();
  const opening = codeFrom(open(stop.signal));
  setTimeout(() => stop.abort(), 500);
  expect(await opening).toBe('trust_unavailable');
  expect(attempts).toBe(0);
});

test('a stored file that was damaged means attesting again, not failing', async () => {
  await storeOne();
  const file = join(dir, 'data', 'identity.json');
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 100));
  expect(await codeFrom(open())).toBe('attestation_failed');
});

test('a bundle from the stream counts if a trusted key signed it and it is newer; anything else changes nothing', async () => {
  const pair = generateKeyPairSync('ed25519');
  issuer.publish({ bundle_keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'b1' }] });
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(issuer.bundle().document));
  await storeOne();
  const identity = await open();
  const { document, sequence } = identity.bundle();
  const statement = (change: object, key = pair.privateKey) =>
    signStatement('mesh-bundle', Buffer.from(JSON.stringify({ ...document, ...change })), { kid: 'b1', key });
  await until(() => push !== null);
  push?.(statement({ spiffe_sequence: sequence + 5 }, generateKeyPairSync('ed25519').privateKey));
  const first = push;
  // The forged statement ends that stream; the next one brings a good one.
  await until(() => push !== first);
  expect(identity.bundle().sequence).toBe(sequence);
  push?.(statement({ spiffe_sequence: sequence + 1 }));
  await until(() => identity.bundle().sequence === sequence + 1);
  expect(JSON.parse(readFileSync(join(dir, 'data', 'identity.json'), 'utf8')).bundle.spiffe_sequence).toBe(
    sequence + 1,
  );
});

test('an identity that the authority revoked is renewed at once, and attested anew where that is refused, until there is one', async () => {
  await storeOne();
  let renewals = 0;
  following = () => {
    throw new BehalfError('peer_revoked', {});
  };
  renewal = () => {
    renewals += 1;
    throw new BehalfError('peer_revoked', {});
  };
  const identity = await open();
  // The join token was used before: refused, and tried again, as an operator may put another in its place.
  await until(() => attempts >= 2);
  expect(renewals).toBeGreaterThanOrEqual(2);
  expect(identity.current().notAfterS).toBeGreaterThan(Date.now() / 1000);
}, 30_000);

test('an identity whose renewal is refused for another reason attests no second time', async () => {
  await storeOne();
  let renewals = 0;
  following = () => {
    throw new BehalfError('peer_revoked', {});
  };
  renewal = () => {
    renewals += 1;
    throw new BehalfError('overloaded', {});
  };
  await open();
  await until(() => renewals >= 2);
  expect(attempts).toBe(0);
}, 30_000);

test('a bundle that has the key of its WIT no more makes a workload renew at once', async () => {
  const pair = generateKeyPairSync('ed25519');
  issuer.publish({ bundle_keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'b1' }] });
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(issuer.bundle().document));
  await storeOne();
  let renewals = 0;
  renewal = () => {
    renewals += 1;
    throw new BehalfError('overloaded', {});
  };
  const identity = await open();
  await until(() => push !== null);
  const { document, sequence } = identity.bundle();
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const others = document.keys.filter(({ use }) => use !== 'wit-svid');
  const keys = [...others, { ...publicKey.export({ format: 'jwk' }), kid: 'w2', use: 'wit-svid' }];
  const newer = { ...document, keys, spiffe_sequence: sequence + 1 };
  push?.(signStatement('mesh-bundle', Buffer.from(JSON.stringify(newer)), { kid: 'b1', key: pair.privateKey }));
  await until(() => renewals >= 1);
}, 30_000);

test('renewal comes at half of the life, give or take a tenth', () => {
  const identity = { notBeforeS: 1000 - 60, notAfterS: 2000 };
  expect(renewalTime(identity, () => 0.5)).toBe(1500);
  expect(renewalTime(identity, () => 0)).toBe(1400);
  expect(renewalTime(identity, () => 1)).toBe(1600);
});

test('back-off doubles up to its limit, with half of each step random', () => {
  const backOff = createBackOff({ firstMs: 100, maxMs: 350, random: () => 1 });
  expect([backOff.next(), backOff.next(), backOff.next(), backOff.next()]).toEqual([100, 200, 350, 350]);
  backOff.reset();
  expect(backOff.next()).toBe(100);
  expect(createBackOff({ firstMs: 100, maxMs: 100, random: () => 0 }).next()).toBe(50);
  expect(() => createBackOff({ firstMs: 0, maxMs: 1 })).toThrowError(RangeError);
});

/** As an earlier run would have left it. */
async function storeOne(): Promise<string> {
  const identity = await issuer.issue(ORDERS);
  openDataDirectory(join(dir, 'data'));
  storeIdentity(join(dir, 'data'), identity.current(), issuer.bundle());
  return identity.current().serialHex;
}
