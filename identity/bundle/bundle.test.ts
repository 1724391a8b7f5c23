import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { type StatementKey, signStatement } from '../signed-statement.ts';
import { createTestIssuer, type TestIssuer } from '../testing/issuer.ts';
import { MAX_BUNDLE_BYTES, type MeshBundle, parseMeshBundle, verifyMeshBundle } from './index.ts';

let issuer: TestIssuer;
let trusted: MeshBundle;
let signer: StatementKey;
const pair = generateKeyPairSync('ed25519');
const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid });

beforeAll(async () => {
  issuer = await createTestIssuer('shop.example');
  signer = { kid: 'b1', key: pair.privateKey };
  trusted = issuer.publish({ bundle_keys: [jwk(pair.publicKey, 'b1')] });
});

type Json = Record<string, unknown>;
const changed = (change: (document: Json) => Json): Json =>
  change(structuredClone(trusted.document) as unknown as Json);
const behalf = (members: Json): Json =>
  changed((document) => ({ ...document, behalf: { ...(document['behalf'] as Json), ...members } }));
const statementOf = (document: unknown, by = signer) =>
  signStatement('mesh-bundle', Buffer.from(JSON.stringify(document)), by);
const ed = (kid: string) => jwk(generateKeyPairSync('ed25519').publicKey, kid);

test('a document gives its keys, ready to use', () => {
  expect(trusted.trustDomain).toBe('shop.example');
  expect(trusted.x509Roots).toEqual([issuer.rootDer]);
  expect([...trusted.witKeys.values()][0]?.asymmetricKeyType).toBe('ec');
  expect(trusted.bundleKeys[0]?.key.asymmetricKeyType).toBe('ed25519');
});

test('entries with a use that we do not know are ignored', () => {
  const document = changed((old) => ({ ...old, keys: [...(old['keys'] as unknown[]), { use: 'later', kid: 'x' }] }));
  expect(parseMeshBundle(document).x509Roots).toHaveLength(1);
});

test.each<[string, string, () => unknown]>([
  ['no object', 'bundle', () => []],
  ['no keys', 'keys', () => changed(({ keys: _, ...rest }) => rest)],
  ['no behalf part', 'behalf', () => changed(({ behalf: _, ...rest }) => rest)],
  ['a bad trust domain', 'trust_domain', () => changed((old) => ({ ...old, trust_domain: 'Shop' }))],
  ['a broken sequence', 'spiffe_sequence', () => changed((old) => ({ ...old, spiffe_sequence: 1.5 }))],
  [
    'two certificates in one entry',
    'keys[0].x5c',
    () => changed((old) => ({ ...old, keys: [{ use: 'x509-svid', x5c: ['AAAA', 'AAAA'] }] })),
  ],
  [
    'base64url in x5c',
    'keys[0].x5c',
    () => changed((old) => ({ ...old, keys: [{ use: 'x509-svid', x5c: ['__8='] }] })),
  ],
  ['an Ed25519 root key', 'behalf.root_keys', () => behalf({ root_keys: [ed('r')] })],
  [
    'a P-256 policy key',
    'behalf.policy_keys',
    () => behalf({ policy_keys: [jwk(issuer.intermediateKeys.publicKey, 'p')] }),
  ],
  ['the same kid twice', 'behalf.policy_keys', () => behalf({ policy_keys: [ed('p'), ed('p')] })],
  ['a private key', 'behalf.policy_keys', () => behalf({ policy_keys: [jwk(pair.privateKey, 'p')] })],
  [
    'a key without kid',
    'behalf.policy_keys.kid',
    () => behalf({ policy_keys: [pair.publicKey.export({ format: 'jwk' })] }),
  ],
  ['an empty kid', 'behalf.policy_keys.kid', () => behalf({ policy_keys: [ed('')] })],
  [
    'a key that is none',
    'behalf.policy_keys',
    () => behalf({ policy_keys: [{ kid: 'p', kty: 'OKP', crv: 'Ed25519', x: '' }] }),
  ],
  [
    'the same kid twice among root keys',
    'behalf.root_keys',
    () => behalf({ root_keys: ['r', 'r'].map((kid) => jwk(issuer.intermediateKeys.publicKey, kid)) }),
  ],
  ['too many keys', 'behalf.log_keys', () => behalf({ log_keys: Array(65).fill('k') })],
])('a document with %s is bundle_invalid at %s', (_what, at, make) => {
  let thrown: unknown;
  try {
    parseMeshBundle(make());
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(BehalfError);
  expect(thrown).toMatchObject({ code: 'bundle_invalid', detail: { at } });
});

test('a newer document that a trusted key signed is taken, the same one too', () => {
  const newer = changed((old) => ({ ...old, spiffe_sequence: trusted.sequence + 1 }));
  expect(verifyMeshBundle(statementOf(newer), trusted).sequence).toBe(trusted.sequence + 1);
  expect(verifyMeshBundle(statementOf(trusted.document), trusted).sequence).toBe(trusted.sequence);
});

test('an older document, one of another domain, key, kind or with a changed byte is refused', () => {
  const refused = (statement: Parameters<typeof verifyMeshBundle>[0], code: string) =>
    expect(() => verifyMeshBundle(statement, trusted)).toThrowError(expect.objectContaining({ code }));
  refused(statementOf(changed((old) => ({ ...old, spiffe_sequence: trusted.sequence - 1 }))), 'bundle_invalid');
  refused(statementOf(changed((old) => ({ ...old, trust_domain: 'other.example' }))), 'bundle_invalid');
  const stranger = generateKeyPairSync('ed25519').privateKey;
  refused(statementOf(trusted.document, { kid: 'b1', key: stranger }), 'statement_untrusted');
  refused(statementOf(trusted.document, { kid: 'b2', key: pair.privateKey }), 'statement_untrusted');
  refused(signStatement('snapshot', Buffer.from(JSON.stringify(trusted.document)), signer), 'statement_untrusted');
  const statement = statementOf(trusted.document);
  statement.payload[10] = (statement.payload[10] as number) ^ 1;
  refused(statement, 'statement_untrusted');
  refused(signStatement('mesh-bundle', Buffer.from('no json'), signer), 'bundle_invalid');
  const padding = Buffer.alloc(MAX_BUNDLE_BYTES, ' ');
  const padded = Buffer.concat([Buffer.from(JSON.stringify(trusted.document)), padding]);
  refused(signStatement('mesh-bundle', padded, signer), 'bundle_invalid');
});
