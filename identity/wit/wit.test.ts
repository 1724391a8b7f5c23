import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE } from '../clock.ts';
import { sha256Base64url, signCompactJws } from '../jws.ts';
import { parseSpiffeId, parseTrustDomain } from '../spiffe-id.ts';
import { mintWit, parseWit, verifyWit, type WitClaims } from './index.ts';

const NOW_S = 1_800_000_000;
const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const link = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const CLAIMS: WitClaims = {
  sub: parseSpiffeId('spiffe://shop.example/ns/demo/sa/orders'),
  iat: NOW_S,
  exp: NOW_S + 3600,
  jti: 'wit-1',
  linkKey: link.publicKey,
  certificateS256: sha256Base64url('certificate'),
};
const context = {
  trustDomain: parseTrustDomain('shop.example'),
  witKey: (kid: string) => (kid === 'k1' ? ca.publicKey : null),
  nowS: NOW_S,
  clock: DEFAULT_CLOCK_RULE,
};
const mint = (changes: Partial<WitClaims> = {}) =>
  mintWit({ ...CLAIMS, ...changes }, { key: ca.privateKey, kid: 'k1' });
const whyOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    const { code, detail } = error as BehalfError;
    return `${code}: ${detail['why']}`;
  }
  return 'accepted';
};

test('what the CA mints verifies, and names workload, certificate and key', () => {
  const wit = verifyWit(mint(), context);
  expect(wit).toMatchObject({ spiffeId: CLAIMS.sub, iat: NOW_S, nbf: NOW_S - 60, exp: NOW_S + 3600, jti: 'wit-1' });
  expect(wit.certificateS256).toBe(CLAIMS.certificateS256);
  expect(wit.linkKey.equals(link.publicKey)).toBe(true);
  expect(wit.s256).toBe(sha256Base64url(wit.compact));
});

test('a WIT is no longer than 1024 bytes even for the longest SPIFFE ID', () => {
  const longest = parseSpiffeId(`spiffe://shop.example/${'x'.repeat(233)}`);
  expect(longest).toHaveLength(255);
  expect(mint({ sub: longest }).length).toBeLessThanOrEqual(1024);
});

test.each([
  ['of another trust domain', { trustDomain: parseTrustDomain('other.example') }, 'of another trust domain'],
  ['not valid yet', { nowS: NOW_S - 91 }, 'not valid yet'],
  ['expired', { nowS: NOW_S + 3605 }, 'expired'],
  ['signed with an unknown key', { witKey: () => null }, 'signed with an unknown key'],
  ['signed by another key', { witKey: () => link.publicKey }, 'signature does not verify'],
])('a WIT that is %s is refused', (_, changes, why) => {
  expect(whyOf(() => verifyWit(mint(), { ...context, ...changes }))).toBe(`wit_invalid: ${why}`);
});

test('a WIT is taken on its first second with a clock 90 s behind, and 4 s after its end', () => {
  expect(whyOf(() => verifyWit(mint(), { ...context, nowS: NOW_S - 90 }))).toBe('accepted');
  expect(whyOf(() => verifyWit(mint(), { ...context, nowS: NOW_S + 3604 }))).toBe('accepted');
});

test('a key that is not P-256 gets no WIT', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  expect(whyOf(() => mint({ linkKey: publicKey }))).toMatch(/^key_unusable/);
  expect(whyOf(() => mint({ linkKey: generateKeyPairSync('ed25519').publicKey }))).toMatch(/^key_unusable/);
});

test('coordinates that are no point of the curve are refused', () => {
  const { payload } = JSON.parse(`{"payload":${Buffer.from(mint().split('.')[1] as string, 'base64url')}}`);
  payload.cnf.jwk.x = Buffer.alloc(32, 5).toString('base64url');
  const forged = signCompactJws({ typ: 'wit+jwt', alg: 'ES256', kid: 'k1' }, payload, ca.privateKey);
  expect(whyOf(() => verifyWit(forged, context))).toBe('wit_invalid: its key is no point of P-256');
});

test.each([
  [{ typ: 'jwt', alg: 'ES256', kid: 'k1' }],
  [{ typ: 'wit+jwt', alg: 'none', kid: 'k1' }],
  [{ typ: 'wit+jwt', alg: 'ES256' }],
  [{ typ: 'wit+jwt', alg: 'ES256', kid: '' }],
  [{ typ: 'wit+jwt', alg: 'ES256', kid: 'k1', jku: 'https://elsewhere.example' }],
])('a WIT with the header %j is refused', (header) => {
  const payload = JSON.parse(Buffer.from(mint().split('.')[1] as string, 'base64url').toString());
  expect(whyOf(() => parseWit(signCompactJws(header, payload, ca.privateKey)))).toMatch(/^wit_invalid/);
});
