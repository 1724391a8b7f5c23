import { createPrivateKey } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { parseSpiffeId } from '../spiffe-id.ts';
import { certificatesFromPem } from '../svid/pem.ts';
import { createTestIssuer, newKeyPair, type TestIssuer } from '../testing/issuer.ts';
import { assembleIdentity, type Issuance } from './issued-identity.ts';

const ORDERS = parseSpiffeId('spiffe://shop.example/orders');
let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await createTestIssuer('shop.example');
});

async function issuance(spiffeId: string = ORDERS): Promise<Issuance> {
  const { certificateChainPem, privateKeyPem, wit, witKey } = (await issuer.issue(spiffeId)).current();
  return { chain: certificatesFromPem(certificateChainPem), privateKey: createPrivateKey(privateKeyPem), wit, witKey };
}

function codeOfAssembling(made: Issuance, nowS = Date.now() / 1000): unknown {
  try {
    return assembleIdentity(made, issuer.bundle(), nowS).spiffeId;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

test('an issuance for our keys is taken', async () => {
  expect(codeOfAssembling(await issuance())).toBe(ORDERS);
});

test('one for another TLS key, another link key, or with the WIT of another certificate is refused', async () => {
  const made = await issuance();
  expect(codeOfAssembling({ ...made, privateKey: newKeyPair().privateKey })).toBe('key_unusable');
  expect(codeOfAssembling({ ...made, witKey: newKeyPair().privateKey })).toBe('key_unusable');
  const sameWorkload = await issuance();
  expect(codeOfAssembling({ ...made, wit: sameWorkload.wit, witKey: sameWorkload.witKey })).toBe('wit_invalid');
});

test('one that has ended, or that another authority made, is refused', async () => {
  expect(codeOfAssembling(await issuance(), Date.now() / 1000 + 3601)).toBe('svid_invalid');
  const mine = issuer;
  issuer = await createTestIssuer('shop.example');
  const foreign = await issuance();
  issuer = mine;
  expect(codeOfAssembling(foreign)).toBe('svid_invalid');
});
