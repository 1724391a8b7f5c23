import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { buildCertificate, distinguishedName, EXTENDED_KEY_USAGES, extension, localSigner } from '../svid/index.ts';
import { type Alter, createTestIssuer, newKeyPair, type TestIssuer } from '../testing/issuer.ts';
import { hasOpenssl, runOpenssl } from '../testing/openssl.ts';
import type { PathRule } from './svid-invalid.ts';
import { validatePath } from './validate-path.ts';

const NOW_S = 1_800_000_000;
const ID = 'spiffe://shop.example/ns/demo/sa/orders';
const OID = { san: '2.5.29.17', bc: '2.5.29.19', ku: '2.5.29.15', eku: '2.5.29.37' };
const clock = (): number => NOW_S;
let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await createTestIssuer('shop.example', { clock });
});

function ruleOf(
  chain: readonly Buffer[],
  from: TestIssuer = issuer,
  nowS = NOW_S,
): { rule: unknown; certificate: unknown } {
  try {
    validatePath(chain, from.bundle(), nowS, 'client');
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    const { code, detail } = error as BehalfError;
    expect(code).toBe('svid_invalid');
    return { rule: detail['rule'], certificate: detail['certificate'] };
  }
  throw new Error('the path was taken');
}

function without(oid: string, ...added: pkijs.Extension[]): Alter {
  return (content) => ({
    ...content,
    extensions: [...content.extensions.filter((one) => one.extnID !== oid), ...added],
  });
}

const critical = new pkijs.Extension({
  extnID: '1.3.6.1.4.1.99999.1',
  critical: true,
  extnValue: new asn1js.Null().toBER(),
});

test('a good path gives ID, serial, hash and times', async () => {
  const chain = await issuer.leaf(ID);
  const svid = validatePath(chain, issuer.bundle(), NOW_S, 'server');
  expect(svid.spiffeId).toBe(ID);
  expect(svid.serialHex).toMatch(/^[0-9a-f]{32}$/);
  expect(svid.notBeforeS).toBe(NOW_S - 60);
  expect(svid.notAfterS).toBe(NOW_S + 3600);
});

test('a root that is sent along changes nothing', async () => {
  const chain = await issuer.leaf(ID);
  expect(validatePath([...chain, issuer.rootDer], issuer.bundle(), NOW_S, 'client').spiffeId).toBe(ID);
});

/** Name constraints with any names. */
function constraints(permitted: pkijs.GeneralName[], excluded: pkijs.GeneralName[] = []): pkijs.Extension {
  const subtrees = (names: pkijs.GeneralName[]) => names.map((base) => new pkijs.GeneralSubtree({ base }));
  const value = new pkijs.NameConstraints({
    ...(permitted.length === 0 ? {} : { permittedSubtrees: subtrees(permitted) }),
    ...(excluded.length === 0 ? {} : { excludedSubtrees: subtrees(excluded) }),
  });
  return new pkijs.Extension({ extnID: '2.5.29.30', critical: true, extnValue: value.toSchema().toBER() });
}
const uri = (value: string) => new pkijs.GeneralName({ type: 6, value });
const directory = () => new pkijs.GeneralName({ type: 4, value: distinguishedName({ organization: 'Shop' }) });

const BAD_LEAVES: readonly [string, PathRule, Alter][] = [
  ['two URI SANs', 'uri_san', without(OID.san, extension.subjectAltName([ID, `${ID}2`], true))],
  ['no SAN', 'uri_san', without(OID.san)],
  [
    'a SAN that is not critical under an empty subject',
    'uri_san',
    without(OID.san, extension.subjectAltName([ID], false)),
  ],
  ['no EKU', 'extended_key_usage', without(OID.eku)],
  [
    'an EKU for servers alone',
    'extended_key_usage',
    without(OID.eku, extension.extendedKeyUsage([EXTENDED_KEY_USAGES.serverAuth])),
  ],
  ['CA:true', 'basic_constraints', without(OID.bc, extension.basicConstraints({ ca: true }))],
  ['no basic constraints', 'basic_constraints', without(OID.bc)],
  ['no key usage', 'key_usage', without(OID.ku)],
  ['key usage keyCertSign', 'key_usage', without(OID.ku, extension.keyUsage(['digitalSignature', 'keyCertSign']))],
  ['key usage that is not critical', 'key_usage', without(OID.ku, extension.keyUsage(['digitalSignature'], false))],
  ['an unknown critical extension', 'unknown_critical_extension', without('', critical)],
  ['the same extension twice', 'extension_twice', without('', extension.keyUsage(['digitalSignature']))],
  [
    'an RSA key',
    'key',
    (content) => ({ ...content, publicKey: generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey }),
  ],
  [
    'a P-384 key',
    'key',
    (content) => ({ ...content, publicKey: generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey }),
  ],
  ['an end in the past', 'expired', (content) => ({ ...content, notAfterS: NOW_S - 1 })],
  ['a begin in the future', 'not_yet_valid', (content) => ({ ...content, notBeforeS: NOW_S + 1 })],
  [
    'a SPIFFE ID that is not canonical',
    'spiffe_id',
    without(OID.san, extension.subjectAltName(['spiffe://shop.example/a//b'], true)),
  ],
  [
    'a SPIFFE ID without path',
    'spiffe_id',
    without(OID.san, extension.subjectAltName(['spiffe://shop.example'], true)),
  ],
  ['name constraints of its own', 'name_constraints', without('', extension.permittedUriHost('shop.example'))],
  ['a URI without host', 'name_constraints', without(OID.san, extension.subjectAltName(['urn:shop.example'], true))],
  [
    'a URI outside the name constraint',
    'name_constraints',
    without(OID.san, extension.subjectAltName(['spiffe://other.example/a'], true)),
  ],
];

test.each(BAD_LEAVES)('a leaf with %s is refused by rule %s', async (_defect, rule, alter) => {
  expect(ruleOf(await issuer.leaf(ID, { alter }))).toEqual({ rule, certificate: 'leaf' });
});

test('a path of another CA is refused, also with the same names', async () => {
  const other = await createTestIssuer('shop.example', { clock });
  expect(ruleOf(await other.leaf(ID)).rule).toBe('unknown_root');
});

test('a leaf of another CA under our intermediate is refused', async () => {
  const other = await createTestIssuer('shop.example', { clock });
  const [leaf] = await other.leaf(ID);
  expect(ruleOf([leaf as Buffer, issuer.intermediateDer])).toEqual({ rule: 'signature', certificate: 'leaf' });
});

test('an SVID cannot issue', async () => {
  const keys = newKeyPair();
  const [above = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = await issuer.leaf(ID, { keys });
  const [real = Buffer.alloc(0)] = await issuer.leaf(ID);
  const forged = await buildCertificate(
    {
      subject: distinguishedName({}),
      issuer: pkijs.Certificate.fromBER(above).subject,
      publicKey: newKeyPair().publicKey,
      notBeforeS: NOW_S - 60,
      notAfterS: NOW_S + 60,
      extensions: pkijs.Certificate.fromBER(real).extensions ?? [],
    },
    localSigner(keys.privateKey, keys.publicKey),
  );
  expect(ruleOf([forged, above, intermediate])).toEqual({ rule: 'basic_constraints', certificate: 'intermediate 1' });
});

const BAD_INTERMEDIATES: readonly [string, PathRule, Alter][] = [
  [
    'basic constraints that are not critical',
    'basic_constraints',
    without(OID.bc, extension.basicConstraints({ ca: true }, false)),
  ],
  ['no CA flag', 'basic_constraints', without(OID.bc, extension.basicConstraints({ ca: false }))],
  ['no basic constraints', 'basic_constraints', without(OID.bc)],
  ['no key usage', 'key_usage', without(OID.ku)],
  ['key usage without keyCertSign', 'key_usage', without(OID.ku, extension.keyUsage(['digitalSignature']))],
  ['an end in the past', 'expired', (content) => ({ ...content, notAfterS: NOW_S - 1 })],
  [
    'an EKU for servers alone',
    'extended_key_usage',
    without('', extension.extendedKeyUsage([EXTENDED_KEY_USAGES.serverAuth])),
  ],
  ['an unknown critical extension', 'unknown_critical_extension', without('', critical)],
];

test.each(BAD_INTERMEDIATES)('an intermediate with %s is refused by rule %s', async (_defect, rule, alter) => {
  const bad = await createTestIssuer('shop.example', { clock, alterIntermediate: alter });
  expect(ruleOf(await bad.leaf(ID), bad)).toEqual({ rule, certificate: 'intermediate 1' });
});

test('a name that an authority above excludes is refused, also under a domain that it excludes as a whole', async () => {
  for (const excluded of ['shop.example', '.example']) {
    const alterIntermediate = without('2.5.29.30', constraints([], [uri(excluded)]));
    const bad = await createTestIssuer('shop.example', { clock, alterIntermediate });
    expect(ruleOf(await bad.leaf(ID), bad)).toEqual({ rule: 'name_constraints', certificate: 'leaf' });
  }
});

test('a constraint on a domain takes names below it, and not the domain itself', async () => {
  const alterIntermediate = without('2.5.29.30', constraints([uri('.example')]));
  const good = await createTestIssuer('shop.example', { clock, alterIntermediate });
  expect(validatePath(await good.leaf(ID), good.bundle(), NOW_S, 'client').spiffeId).toBe(ID);
  const bad = await createTestIssuer('example', { clock, alterIntermediate });
  expect(ruleOf(await bad.leaf('spiffe://example/a'), bad).rule).toBe('name_constraints');
});

test('constraints on kinds of names that we cannot judge refuse certificates with such names, and no others', async () => {
  const alterIntermediate = without('2.5.29.30', constraints([directory(), uri('shop.example')]));
  const bad = await createTestIssuer('shop.example', { clock, alterIntermediate });
  expect(validatePath(await bad.leaf(ID), bad.bundle(), NOW_S, 'client').spiffeId).toBe(ID);
  const named: Alter = (content) => ({ ...content, subject: distinguishedName({ organization: 'Shop' }) });
  expect(ruleOf(await bad.leaf(ID, { alter: named }), bad)).toEqual({ rule: 'name_constraints', certificate: 'leaf' });
});

test('the other form of a leaf’s signature, which anyone can compute, is refused', async () => {
  const [leaf = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = await issuer.leaf(ID);
  const mirrored = mirrorSignature(leaf);
  // Without our rule it would pass: the signature is good, and only the hash of the certificate is another.
  expect(new X509Certificate(mirrored).verify(issuer.intermediateKeys.publicKey)).toBe(true);
  expect(ruleOf([mirrored, intermediate])).toEqual({ rule: 'signature', certificate: 'leaf' });
});

/** The certificate with n - s for s. */
function mirrorSignature(der: Buffer): Buffer {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const certificate = pkijs.Certificate.fromBER(der);
  const old = Buffer.from(certificate.signatureValue.valueBlock.valueHexView);
  const r = old.subarray(2, 4 + (old[3] as number));
  const s = BigInt(`0x${old.subarray(r.length + 4).toString('hex')}`);
  const hex = (order - s).toString(16).padStart(64, '0');
  const body = Buffer.from(Number.parseInt(hex.slice(0, 2), 16) >= 0x80 ? `00${hex}` : hex, 'hex');
  const both = Buffer.concat([r, Buffer.from([0x02, body.length]), body]);
  const signature = Uint8Array.from(Buffer.concat([Buffer.from([0x30, both.length]), both]));
  certificate.signatureValue = new asn1js.BitString({ valueHex: signature.buffer });
  return Buffer.from(certificate.toSchema(false).toBER());
}

test('a root is no leaf', () => {
  expect(ruleOf([issuer.rootDer]).rule).toBe('basic_constraints');
});

describe.skipIf(!hasOpenssl())('made by OpenSSL', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'behalf-path-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const openssl = (...args: string[]) => runOpenssl(dir, ...args);
  const der = (file: string) => new X509Certificate(readFileSync(join(dir, file))).raw;
  const leafExtensions = `basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=critical,URI:${ID}
`;

  function verdict(rootKey: string[], sign: string[], extensions: string | null = leafExtensions): unknown {
    openssl(
      'req',
      '-x509',
      '-newkey',
      ...rootKey,
      '-nodes',
      '-keyout',
      'root.key',
      '-out',
      'root.crt',
      '-days',
      '2',
      '-subj',
      '/CN=Root',
    );
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'leaf.key');
    openssl('req', '-new', '-key', 'leaf.key', '-subj', '/', '-out', 'leaf.csr');
    writeFileSync(join(dir, 'ext'), extensions ?? '');
    const withExtensions = extensions === null ? [] : ['-extfile', 'ext'];
    openssl(
      'x509',
      '-req',
      '-in',
      'leaf.csr',
      '-CA',
      'root.crt',
      '-CAkey',
      'root.key',
      '-CAcreateserial',
      '-out',
      'leaf.crt',
      '-days',
      '1',
      ...sign,
      ...withExtensions,
    );
    const trust = { x509Roots: [der('root.crt')], trustDomain: issuer.trustDomain };
    try {
      return validatePath([der('leaf.crt')], trust, Date.now() / 1000 + 1, 'client').spiffeId;
    } catch (error) {
      return (error as BehalfError).detail['rule'];
    }
  }

  const P256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  test('a path under an RSA root is taken', () => {
    expect(verdict(['rsa:2048'], ['-sha256'])).toBe(ID);
  });
  test('a signature over SHA-1 is refused', () => {
    expect(verdict(P256, ['-sha1'])).toBe('signature_algorithm');
  });
  test('a root with an RSA key of 1024 bits is refused', () => {
    expect(verdict(['rsa:1024'], ['-sha256'])).toBe('key');
  });
  test('a certificate of version 1 is refused', () => {
    expect(verdict(['rsa:2048'], ['-sha256'], null)).toBe('version');
  });
});

test('an intermediate below one that allows none is refused by rule path_length', async () => {
  const keys = newKeyPair();
  const parent = localSigner(issuer.intermediateKeys.privateKey, issuer.intermediateKeys.publicKey);
  const lower = await buildCertificate(
    {
      subject: distinguishedName({ commonName: 'lower' }),
      issuer: pkijs.Certificate.fromBER(issuer.intermediateDer).subject,
      publicKey: keys.publicKey,
      notBeforeS: NOW_S - 60,
      notAfterS: NOW_S + 60,
      extensions: [extension.basicConstraints({ ca: true }), extension.keyUsage(['keyCertSign'])],
    },
    parent,
  );
  const [real = Buffer.alloc(0)] = await issuer.leaf(ID);
  const leaf = await buildCertificate(
    {
      subject: distinguishedName({}),
      issuer: distinguishedName({ commonName: 'lower' }),
      publicKey: newKeyPair().publicKey,
      notBeforeS: NOW_S - 60,
      notAfterS: NOW_S + 60,
      extensions: pkijs.Certificate.fromBER(real).extensions ?? [],
    },
    localSigner(keys.privateKey, keys.publicKey),
  );
  expect(ruleOf([leaf, lower, issuer.intermediateDer])).toEqual({ rule: 'path_length', certificate: 'intermediate 2' });
});

test('a bundle of another trust domain does not take the ID even under the same root', async () => {
  const trust = { x509Roots: [issuer.rootDer], trustDomain: (await createTestIssuer('other.example')).trustDomain };
  const chain = await issuer.leaf(ID);
  expect(() => validatePath(chain, trust, NOW_S, 'client')).toThrowError(/trust_domain/);
});

test('no certificates, too many and garbage are refused', async () => {
  const [leaf = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = await issuer.leaf(ID);
  expect(ruleOf([]).rule).toBe('chain_length');
  expect(ruleOf(Array<Buffer>(7).fill(leaf)).rule).toBe('chain_length');
  expect(ruleOf([Buffer.from('garbage'), intermediate]).rule).toBe('encoding');
  expect(ruleOf([Buffer.concat([leaf, Buffer.from([0])]), intermediate]).rule).toBe('encoding');
  expect(ruleOf([leaf]).rule).toBe('unknown_root');
  expect(ruleOf([Buffer.alloc(16_385, leaf), intermediate]).rule).toBe('encoding');
});

test('any flipped byte of a leaf is refused', async () => {
  const [leaf = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = await issuer.leaf(ID);
  for (let at = 0; at < leaf.length; at += 7) {
    const flipped = Buffer.from(leaf);
    flipped[at] = (flipped[at] as number) ^ 0x01;
    expect(() => validatePath([flipped, intermediate], issuer.bundle(), NOW_S, 'client')).toThrowError(BehalfError);
  }
});
