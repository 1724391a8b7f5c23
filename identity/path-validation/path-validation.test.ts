import { generateKeyPairSync } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { beforeAll, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { buildCertificate, distinguishedName, EXTENDED_KEY_USAGES, extension, localSigner } from '../svid/index.ts';
import { type Alter, createTestIssuer, newKeyPair, type TestIssuer } from '../testing/issuer.ts';
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
});

test('any flipped byte of a leaf is refused', async () => {
  const [leaf = Buffer.alloc(0), intermediate = Buffer.alloc(0)] = await issuer.leaf(ID);
  for (let at = 0; at < leaf.length; at += 7) {
    const flipped = Buffer.from(leaf);
    flipped[at] = (flipped[at] as number) ^ 0x01;
    expect(() => validatePath([flipped, intermediate], issuer.bundle(), NOW_S, 'client')).toThrowError(BehalfError);
  }
});
