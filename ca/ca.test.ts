import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codeOf, type ErrorCode } from '../errors/index.ts';
import { parseMeshBundle, partId, type TrustDomain, verifyWit } from '../identity/index.ts';
import { connectService, connectUnixService } from '../identity/mtls/index.ts';
import { makeKeys, type OwnIdentity, openIdentity, type TrustConfig } from '../identity/own/index.ts';
import { decodeCertificate, validatePath } from '../identity/path-validation/index.ts';
import { certificatesToPem, makeCsr } from '../identity/svid/index.ts';
import { hasOpenssl, runOpenssl } from '../identity/testing/openssl.ts';
import { certificateAuthority, registration } from '../proto/behalf/ca/v1/ca.ts';
import { initCa } from './init.ts';
import { startCa } from './start.ts';

const DOMAIN = 'shop.example' as TrustDomain;
const ORDERS = 'spiffe://shop.example/ns/demo/sa/orders';
const PASSPHRASE = 'correct horse battery';
const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

let dir: string;
let running: { ready: Awaited<ReturnType<typeof startCa>>['ready']; stop: () => Promise<void> } | null;
const closing: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-ca-'));
  running = null;
  writeFileSync(join(dir, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await running?.stop();
  rmSync(dir, { recursive: true });
});

async function init(options: Partial<Parameters<typeof initCa>[0]> = {}) {
  return initCa({ dataDir: join(dir, 'ca'), trustDomain: DOMAIN, passphrase: PASSPHRASE, ...options });
}

async function start(overrides: Partial<Parameters<typeof startCa>[0]> = {}) {
  const stopper = new AbortController();
  const config = {
    dataDir: join(dir, 'ca'),
    trustDomain: DOMAIN,
    listen: '127.0.0.1:0',
    unixSocket: join(dir, 'ca.sock'),
    passphraseFile: join(dir, 'passphrase'),
    allowShortLives: true,
    ...overrides,
  };
  const { ready, closed } = await startCa(config, { log, signal: stopper.signal });
  running = {
    ready,
    stop: async () => {
      stopper.abort();
      running = null;
      await closed;
    },
  };
  return ready;
}

function ready() {
  if (running === null) throw new Error('not started');
  return running.ready;
}

const openssl = (...args: string[]) => runOpenssl(dir, ...args);

let opened = 0;
async function open(
  attest: TrustConfig['attest'],
  more: { ttlS?: number; dataDir?: string } = {},
): Promise<OwnIdentity> {
  opened += 1;
  const { dataDir = join(dir, `part-${opened}`), ttlS } = more;
  const trust = {
    caAddress: ready().address,
    bundleFile: ready().bundleFile,
    attest,
    ...(ttlS === undefined ? {} : { ttlS }),
  };
  const identity = await openIdentity({ trust, dataDir, log, signal: new AbortController().signal });
  closing.push(() => identity.close());
  return identity;
}

const operator = () => open({ unixSocket: ready().unixSocket });

async function registrationOf(identity: OwnIdentity) {
  const client = connectService(registration, {
    address: ready().address,
    identity,
    expect: partId(DOMAIN, 'ca'),
    log,
  });
  closing.push(() => client.close());
  return client;
}

function authorityFor(trust: { identity: OwnIdentity } | { bundle: ReturnType<typeof parseMeshBundle> }) {
  const client = connectService(certificateAuthority, {
    address: ready().address,
    ...trust,
    expect: partId(DOMAIN, 'ca'),
    log,
  });
  closing.push(() => client.close());
  return client;
}

const bundle = () => parseMeshBundle(JSON.parse(readFileSync(ready().bundleFile, 'utf8')));

function keyRequest(keys = makeKeys()) {
  return {
    csr: makeCsr(keys.tls),
    witPublicJwk: JSON.stringify(keys.link.publicKey.export({ format: 'jwk' })),
    ttlS: 0,
  };
}

async function tokenFile(spiffeId: string, ttlS = 0): Promise<string> {
  const { token } = await (await registrationOf(await operator())).createJoinToken({ spiffeId, ttlS });
  opened += 1;
  const file = join(dir, `token-${opened}`);
  writeFileSync(file, token, { mode: 0o600 });
  return file;
}

const codeOfCall = (call: Promise<unknown>): Promise<ErrorCode | 'ok'> => call.then(() => 'ok' as const, codeOf);

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('init', () => {
  test('makes a root, a constrained intermediate and a bundle, and no key in the clear', async () => {
    const made = await init();
    const parsed = parseMeshBundle(JSON.parse(readFileSync(made.bundleFile, 'utf8')));
    expect(parsed.trustDomain).toBe(DOMAIN);
    expect(parsed.x509Roots).toHaveLength(1);
    expect(parsed.witKeys.size).toBe(1);
    expect(statSync(join(dir, 'ca')).mode & 0o777).toBe(0o700);
    const stored = readFileSync(join(dir, 'ca', 'ca.sqlite'));
    expect(stored.includes('PRIVATE KEY')).toBe(false);
    // PKCS#8 of an EC key names its algorithm in front of the key; sealed, it does not show.
    expect(stored.includes(Buffer.from('301306072a8648ce3d020106082a8648ce3d030107046d', 'hex'))).toBe(false);
  });

  test('is refused in a directory that holds an authority', async () => {
    await init();
    expect(await codeOfCall(init())).toBe('data_directory_unusable');
  });

  test('a short passphrase is refused', async () => {
    expect(await codeOfCall(init({ passphrase: 'short' }))).toBe('key_unusable');
  });

  test('an authority does not start with another passphrase, domain or without init', async () => {
    expect(await codeOfCall(start())).toBe('data_directory_unusable');
    await init();
    writeFileSync(join(dir, 'other'), 'another passphrase');
    expect(await codeOfCall(start({ passphraseFile: join(dir, 'other') }))).toBe('key_unusable');
    expect(await codeOfCall(start({ trustDomain: 'other.example' }))).toBe('config_invalid');
  });

  test('two processes do not share a directory', async () => {
    await init();
    await start();
    const stop = running?.stop;
    expect(await codeOfCall(start())).toBe('data_directory_unusable');
    await stop?.();
  });
});

describe.skipIf(!hasOpenssl())('init under an operator’s CA', () => {
  const root = (key: string[], extra: string[] = []) => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      ...key,
      '-nodes',
      '-keyout',
      'root.key',
      '-out',
      'root.crt',
      '-days',
      '30',
      '-subj',
      '/O=Operator/CN=Root',
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign',
      ...extra,
    );
  };
  const pack = (...flags: string[]) => {
    openssl(
      'pkcs12',
      '-export',
      '-inkey',
      'root.key',
      '-in',
      'root.crt',
      '-out',
      'ca.p12',
      '-passout',
      'pass:secret',
      ...flags,
    );
    return { data: readFileSync(join(dir, 'ca.p12')), passphrase: 'secret' };
  };

  test.each([
    ['RSA, AES-256', ['rsa:2048'], ['-keypbe', 'AES-256-CBC', '-certpbe', 'AES-256-CBC']],
    ['RSA, 3DES of old', ['rsa:2048'], ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1']],
    ['P-256, AES-256', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], []],
  ])('%s: SVIDs lead to the operator’s root and end with it at the latest', async (_name, key, flags) => {
    root(key);
    const made = await init({ pkcs12: pack(...flags) });
    const rootDer = new X509Certificate(readFileSync(join(dir, 'root.crt'))).raw;
    expect(parseMeshBundle(JSON.parse(readFileSync(made.bundleFile, 'utf8'))).x509Roots).toEqual([rootDer]);
    expect(made.issuingNotAfterS).toBeLessThanOrEqual(made.rootNotAfterS);
    await start();
    expect((await operator()).spiffeId).toMatch(/^spiffe:\/\/shop\.example\/behalf\/operator\//);
    expect(readFileSync(join(dir, 'ca', 'ca.sqlite')).includes(readFileSync(join(dir, 'root.key')))).toBe(false);
  });

  test('a wrong passphrase, garbage and a key without its certificate are key_unusable', async () => {
    root(['rsa:2048']);
    const { data } = pack();
    expect(await codeOfCall(init({ pkcs12: { data, passphrase: 'wrong' } }))).toBe('key_unusable');
    expect(await codeOfCall(init({ pkcs12: { data: Buffer.from('garbage'), passphrase: '' } }))).toBe('key_unusable');
    openssl('pkcs12', '-export', '-inkey', 'root.key', '-nocerts', '-out', 'bare.p12', '-passout', 'pass:secret');
    expect(
      await codeOfCall(init({ pkcs12: { data: readFileSync(join(dir, 'bare.p12')), passphrase: 'secret' } })),
    ).toBe('key_unusable');
    expect(existsSync(join(dir, 'ca', 'bundle.json'))).toBe(false);
  });

  test('a root that allows no intermediate is refused before anything is stored', async () => {
    root(['rsa:2048'], ['-addext', 'basicConstraints=critical,CA:TRUE,pathlen:0']);
    const refused: unknown = await init({ pkcs12: pack() }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'svid_invalid', detail: { rule: 'path_length' } });
    expect(existsSync(join(dir, 'ca'))).toBe(false);
  });
});

describe('attestation', () => {
  beforeEach(async () => {
    await init();
    await start();
  });

  test('the owner of the data directory is an operator, by the Unix socket', async () => {
    const identity = await operator();
    expect(identity.spiffeId.startsWith('spiffe://shop.example/behalf/operator/')).toBe(true);
    const { certificateChainPem, wit, certificateS256, witKey } = identity.current();
    const leaf = decodeCertificate(new X509Certificate(certificateChainPem).raw, 'leaf');
    expect(leaf.notAfterS - leaf.notBeforeS).toBe(3600 + 60);
    const verified = verifyWit(wit, {
      trustDomain: DOMAIN,
      witKey: (kid) => identity.bundle().witKeys.get(kid) ?? null,
      nowS: Date.now() / 1000,
      clock: { aheadS: 0, graceS: 0 },
    });
    expect(verified.certificateS256).toBe(certificateS256);
    expect(verified.linkKey.equals(createPublicKey(witKey))).toBe(true);
  });

  test('a join token gives the identity it was made for, whatever the request says', async () => {
    const identity = await open({ joinTokenFile: await tokenFile(ORDERS) });
    expect(identity.spiffeId).toBe(ORDERS);
  });

  test('a join token is good for one key only, under a race too', async () => {
    const token = readFileSync(await tokenFile(ORDERS), 'utf8');
    const client = authorityFor({ bundle: bundle() });
    const tries = Array.from({ length: 20 }, () =>
      codeOfCall(client.attest({ attestation: 'joinToken', joinToken: token, ...keyRequest() })),
    );
    const codes = await Promise.all(tries);
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1);
    expect(codes.filter((code) => code === 'attestation_failed')).toHaveLength(19);
  });

  test('the key that used a token may ask again, as its answer may have been lost', async () => {
    const token = readFileSync(await tokenFile(ORDERS), 'utf8');
    const client = authorityFor({ bundle: bundle() });
    const request = { attestation: 'joinToken' as const, joinToken: token, ...keyRequest() };
    const first = await client.attest(request);
    const second = await client.attest(request);
    expect(second.spiffeId).toBe(ORDERS);
    expect(second.certificateChain[0]).not.toEqual(first.certificateChain[0]);
  });

  test.skipIf(!hasOpenssl())(
    'subject and names in a request are ignored, and OpenSSL takes the path that comes back',
    async () => {
      openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'forged.key');
      openssl(
        'req',
        '-new',
        '-key',
        'forged.key',
        '-outform',
        'DER',
        '-out',
        'forged.csr',
        '-subj',
        '/CN=spiffe:\\/\\/shop.example\\/behalf\\/ca',
        '-addext',
        'subjectAltName=URI:spiffe://shop.example/behalf/ca,DNS:localhost',
        '-addext',
        'basicConstraints=critical,CA:TRUE',
      );
      const csr = readFileSync(join(dir, 'forged.csr'));
      const joinToken = readFileSync(await tokenFile(ORDERS), 'utf8');
      const svid = await authorityFor({ bundle: bundle() }).attest({
        attestation: 'joinToken',
        joinToken,
        ...keyRequest(),
        csr,
      });
      const [leaf = Buffer.alloc(0), ...rest] = svid.certificateChain;
      const { names, subjectIsEmpty, basicConstraints } = decodeCertificate(leaf, 'leaf');
      expect(names.map(({ text }) => text)).toEqual([ORDERS]);
      expect(subjectIsEmpty).toBe(true);
      expect(basicConstraints?.ca).toBe(false);
      writeFileSync(join(dir, 'leaf.pem'), certificatesToPem([leaf]));
      writeFileSync(join(dir, 'rest.pem'), certificatesToPem(rest));
      writeFileSync(join(dir, 'root.pem'), certificatesToPem(bundle().x509Roots));
      const said = openssl(
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-CAfile',
        'root.pem',
        '-untrusted',
        'rest.pem',
        'leaf.pem',
      );
      expect(said).toContain('OK');
    },
  );

  test('an unknown token is attestation_failed', async () => {
    const client = authorityFor({ bundle: bundle() });
    expect(await codeOfCall(client.attest({ attestation: 'joinToken', joinToken: 'guess', ...keyRequest() }))).toBe(
      'attestation_failed',
    );
  });

  test('over TCP nobody attests by uid, and without attestation nobody at all', async () => {
    const client = authorityFor({ bundle: bundle() });
    expect(await codeOfCall(client.attest({ attestation: 'unixPeer', unixPeer: {}, ...keyRequest() }))).toBe(
      'attestation_failed',
    );
    expect(await codeOfCall(client.attest(keyRequest()))).toBe('attestation_failed');
  });

  test('bad requests for keys are csr_invalid', async () => {
    const client = connectUnixService(certificateAuthority, ready().unixSocket);
    closing.push(() => client.close());
    const attest = (changed: Partial<ReturnType<typeof keyRequest>>) =>
      codeOfCall(client.attest({ attestation: 'unixPeer', unixPeer: {}, ...keyRequest(), ...changed }));
    const keys = makeKeys();
    expect(await attest({ csr: Buffer.from('garbage') })).toBe('csr_invalid');
    const flipped = makeCsr(keys.tls);
    flipped[flipped.length - 1] = (flipped[flipped.length - 1] as number) ^ 1;
    expect(await attest({ csr: flipped })).toBe('csr_invalid');
    expect(await attest({ csr: makeCsr(generateKeyPairSync('ec', { namedCurve: 'P-384' })) })).toBe('csr_invalid');
    expect(
      await attest({
        csr: makeCsr(keys.tls),
        witPublicJwk: JSON.stringify(keys.tls.publicKey.export({ format: 'jwk' })),
      }),
    ).toBe('csr_invalid');
    expect(await attest({ witPublicJwk: JSON.stringify(keys.link.privateKey.export({ format: 'jwk' })) })).toBe(
      'csr_invalid',
    );
    expect(await attest({ witPublicJwk: '{}' })).toBe('csr_invalid');
  });

  test('failed attestations are limited', async () => {
    const client = authorityFor({ bundle: bundle() });
    const codes = await Promise.all(
      Array.from({ length: 150 }, () => codeOfCall(client.attest({ attestation: 'joinToken', joinToken: 'guess' }))),
    );
    expect(codes.filter((code) => code === 'rate_limited').length).toBeGreaterThan(0);
    expect(codes.filter((code) => code === 'ok')).toEqual([]);
    // Who guesses locks out nobody: neither local users nor who has a token.
    const attestation = { attestation: 'joinToken', joinToken: 'guess' } as const;
    expect(await codeOfCall(client.attest(attestation))).toBe('rate_limited');
    expect((await open({ joinTokenFile: await tokenFile(ORDERS) })).spiffeId).toBe(ORDERS);
  });

  test('a workload cannot register, and an operator cannot register reserved identities', async () => {
    const orders = await registrationOf(await open({ joinTokenFile: await tokenFile(ORDERS) }));
    const entry = { spiffeId: `${ORDERS}2`, selectors: ['unix:uid:1'] };
    expect(await codeOfCall(orders.createEntry(entry))).toBe('policy_denied');
    expect(await codeOfCall(orders.createJoinToken({ spiffeId: ORDERS }))).toBe('policy_denied');
    const admin = await registrationOf(await operator());
    expect(await codeOfCall(admin.createEntry({ ...entry, spiffeId: 'spiffe://shop.example/behalf/authority' }))).toBe(
      'policy_denied',
    );
    expect(await codeOfCall(admin.createEntry({ ...entry, spiffeId: 'spiffe://other.example/a' }))).toBe(
      'request_malformed',
    );
    expect(await codeOfCall(admin.createEntry({ ...entry, selectors: ['unix:uid:root'] }))).toBe('request_malformed');
    expect(await codeOfCall(admin.createJoinToken({ spiffeId: 'spiffe://shop.example/behalf/ca' }))).toBe(
      'policy_denied',
    );
    const made = await admin.createEntry(entry);
    expect((await admin.listEntries({})).entries.map(({ id }) => id)).toEqual([made.id]);
    await admin.deleteEntry({ id: made.id });
    expect(await codeOfCall(admin.deleteEntry({ id: made.id }))).toBe('not_found');
    const anonymous = connectService(registration, { address: ready().address, bundle: bundle(), expect: null, log });
    closing.push(() => anonymous.close());
    expect(await codeOfCall(anonymous.listEntries({}))).toBe('peer_unauthenticated');
  });
});

describe('renewal', () => {
  beforeEach(async () => {
    await init();
  });

  test('comes at half of the life, again and again, with new keys and the same identity', async () => {
    await start();
    const identity = await open({ joinTokenFile: await tokenFile(ORDERS) }, { ttlS: 5 });
    const seen = new Set([identity.current().serialHex]);
    const keys = new Set([identity.current().privateKeyPem]);
    identity.onChange(() => {
      seen.add(identity.current().serialHex);
      keys.add(identity.current().privateKeyPem);
    });
    await until(() => seen.size >= 3);
    expect(keys.size).toBe(seen.size);
    expect(identity.current().spiffeId).toBe(ORDERS);
    expect(identity.current().notAfterS).toBeGreaterThan(Date.now() / 1000);
  });

  test('brings the same identity only, and for nobody without a certificate', async () => {
    await start();
    const identity = await open({ joinTokenFile: await tokenFile(ORDERS) });
    const svid = await authorityFor({ identity }).renew(keyRequest());
    expect(svid.spiffeId).toBe(ORDERS);
    expect(validatePath(svid.certificateChain, bundle(), Date.now() / 1000, 'client').spiffeId).toBe(ORDERS);
    expect(await codeOfCall(authorityFor({ bundle: bundle() }).renew(keyRequest()))).toBe('peer_unauthenticated');
  });

  test('of a revoked workload is peer_revoked; attesting anew is a clean start', async () => {
    await start({ collectorAddress: '127.0.0.1:1' });
    const identity = await open({ joinTokenFile: await tokenFile(ORDERS) });
    const admin = await registrationOf(await operator());
    const { number } = await admin.revoke({ kind: 'workload', value: ORDERS, reason: 'test' }, { deadlineMs: 20_000 });
    expect(number).toBe(1);
    expect(await codeOfCall(authorityFor({ identity }).renew(keyRequest()))).toBe('peer_revoked');
    await until(() => Math.floor(Date.now() / 1000) > Math.floor(identity.current().notBeforeS + 60) + 2);
    const clean = await open({ joinTokenFile: await tokenFile(ORDERS) });
    expect(await codeOfCall(authorityFor({ identity: clean }).renew(keyRequest()))).toBe('ok');
  });

  test('of an operator ends what that one may do, on connections that stand too', async () => {
    await start({ collectorAddress: '127.0.0.1:1' });
    const stolen = await open({ joinTokenFile: await tokenFile('spiffe://shop.example/behalf/operator/mallory') });
    const [mallory, keys] = [await registrationOf(stolen), authorityFor({ identity: stolen })];
    expect((await mallory.listEntries({})).entries).toEqual([]);
    const admin = await registrationOf(await operator());
    await admin.revoke({ kind: 'workload', value: stolen.spiffeId, reason: 'test' }, { deadlineMs: 20_000 });
    const another = { spiffeId: 'spiffe://shop.example/behalf/operator/other' };
    expect(await codeOfCall(mallory.createJoinToken(another))).toBe('peer_revoked');
    expect(await codeOfCall(mallory.listEntries({}))).toBe('peer_revoked');
    expect(await codeOfCall(keys.publishKeys({ keysJson: '{"policy_keys":[]}' }))).toBe('peer_revoked');
    expect(await codeOfCall(admin.createJoinToken(another))).toBe('ok');
  });

  test('without a collector nothing can be revoked, and the operator is told', async () => {
    await start();
    const admin = await registrationOf(await operator());
    expect(await codeOfCall(admin.revoke({ kind: 'workload', value: ORDERS }))).toBe('upstream_unavailable');
    expect(await codeOfCall(admin.revoke({ kind: 'sub', value: 'u:1' }))).toBe('request_malformed');
  });

  test('goes on after the authority was down; what was stored serves a restarted workload without attesting', async () => {
    const address = (await start()).address;
    const dataDir = join(dir, 'orders');
    const identity = await open({ joinTokenFile: await tokenFile(ORDERS) }, { dataDir });
    const { serialHex } = identity.current();
    expect(statSync(join(dataDir, 'identity.json')).mode & 0o777).toBe(0o600);
    await identity.close();
    await running?.stop();
    await start({ listen: address });
    // The token file is gone: only what is stored can serve.
    const again = await open({ joinTokenFile: '/nonexistent' }, { dataDir });
    expect(again.current().serialHex).toBe(serialHex);
    expect(await codeOfCall(authorityFor({ identity: again }).renew(keyRequest()))).toBe('ok');
  });

  test('a life is within bounds and never past the issuer’s end', async () => {
    const ends = (await start({ allowShortLives: false })).issuerEndsS;
    const identity = await operator();
    const client = authorityFor({ identity });
    const lifeOf = async (ttlS: number) =>
      Math.round((await client.renew({ ...keyRequest(), ttlS })).notAfterS - Date.now() / 1000);
    expect(await lifeOf(5)).toBeGreaterThanOrEqual(298);
    expect(await lifeOf(10_000_000)).toBeLessThanOrEqual(86_400);
    expect(identity.current().notAfterS).toBeLessThanOrEqual(ends);
  });
});

describe('bundles', () => {
  beforeEach(async () => {
    await init();
    await start();
  });

  const ed25519 = (kid: string) => ({ ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid });
  const ec = (kid: string) => ({
    ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
    kid,
  });

  test('keys that a part publishes reach every follower, signed', async () => {
    const follower = await open({ joinTokenFile: await tokenFile(ORDERS) });
    const authority = await open({ joinTokenFile: await tokenFile('spiffe://shop.example/behalf/authority') });
    const collector = await open({ joinTokenFile: await tokenFile('spiffe://shop.example/behalf/collector') });
    const admin = await operator();
    const keysJson = JSON.stringify({
      issuer: 'http://127.0.0.1:1',
      jwks_uri: 'http://127.0.0.1:1/jwks',
      root_keys: [ec('r1')],
      live_state_keys: { authority: [ed25519('l1')] },
    });
    await authorityFor({ identity: authority }).publishKeys({ keysJson });
    await authorityFor({ identity: collector }).publishKeys({
      keysJson: JSON.stringify({ log_keys: ['shop.example/log+1+a'] }),
    });
    const { sequence } = await authorityFor({ identity: admin }).publishKeys({
      keysJson: JSON.stringify({ policy_keys: [ed25519('p1')] }),
    });
    expect(sequence).toBe(4);
    await until(() => follower.bundle().sequence === 4);
    const seen = follower.bundle();
    expect([...seen.rootKeys.keys()]).toEqual(['r1']);
    expect(seen.liveStateKeys.authority.map(({ kid }) => kid)).toEqual(['l1']);
    expect(seen.liveStateKeys.ca).toHaveLength(1);
    expect(seen.policyKeys.map(({ kid }) => kid)).toEqual(['p1']);
    expect(seen.logKeys).toEqual(['shop.example/log+1+a']);
    expect(bundle().sequence).toBe(4);
    // The same keys again change nothing.
    expect((await authorityFor({ identity: authority }).publishKeys({ keysJson })).sequence).toBe(4);
    const { address } = ready();
    await running?.stop();
    await start({ listen: address });
    expect(bundle().sequence).toBe(4);
  });

  test('each part sets its own keys alone', async () => {
    const orders = authorityFor({ identity: await open({ joinTokenFile: await tokenFile(ORDERS) }) });
    const collector = authorityFor({
      identity: await open({ joinTokenFile: await tokenFile('spiffe://shop.example/behalf/collector') }),
    });
    const authority = authorityFor({
      identity: await open({ joinTokenFile: await tokenFile('spiffe://shop.example/behalf/authority') }),
    });
    const publish = (client: typeof orders, keys: unknown) =>
      codeOfCall(client.publishKeys({ keysJson: JSON.stringify(keys) }));
    expect(await publish(orders, { root_keys: [] })).toBe('policy_denied');
    expect(await publish(collector, { root_keys: [ec('x')] })).toBe('policy_denied');
    expect(await publish(authority, { policy_keys: [ed25519('x')] })).toBe('policy_denied');
    expect(await publish(authority, { bundle_keys: [ed25519('x')] })).toBe('policy_denied');
    expect(await publish(authority, { live_state_keys: { ca: [ed25519('x')] } })).toBe('policy_denied');
    expect(await publish(authority, { live_state_keys: null })).toBe('request_malformed');
    // In characters it is within bounds, in bytes every receiver would refuse the bundle.
    const wide = { ...ec('w'), alg: '€'.repeat(64_000) };
    expect(await publish(authority, { root_keys: [wide] })).toBe('ok');
    expect(await publish(collector, { log_keys: Array.from({ length: 32 }, () => '€'.repeat(2_000)) })).toBe(
      'bundle_invalid',
    );
    expect(await publish(authority, { root_keys: [] })).toBe('ok');
    expect(await publish(authority, { root_keys: [ed25519('x')] })).toBe('bundle_invalid');
    expect(await publish(authority, { root_keys: 'x' })).toBe('bundle_invalid');
    expect(await publish(authority, [])).toBe('request_malformed');
    expect(bundle().sequence).toBe(3);
  });
});
