/** DPoP proofs (RFC 9449 section 4.3): made by another library, and broken in every way that the section names. */
import { hash } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { createProofMemory, type VerifiedProof, verifyProof } from './index.ts';

const NOW_S = 1_800_000_000;
const TOKEN = 'abc.def.ghi';
const EXPECTED = { method: 'POST', uri: 'https://shop.example/orders', accessToken: TOKEN, nowS: NOW_S };
const CLAIMS = {
  jti: 'one',
  iat: NOW_S,
  htm: 'POST',
  htu: 'https://shop.example/orders',
  ath: hash('sha256', TOKEN, 'base64url'),
};

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
let pair: Pair;
let other: Pair;
beforeAll(async () => {
  pair = await generateKeyPair('ES256', { extractable: true });
  other = await generateKeyPair('ES256', { extractable: true });
});

async function proof(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  keys: Pair = pair,
): Promise<string> {
  const jwk = await exportJWK(keys.publicKey);
  const all = { alg: 'ES256', typ: 'dpop+jwt', jwk, ...header };
  return new SignJWT({ ...CLAIMS, ...claims }).setProtectedHeader(all as never).sign(keys.privateKey);
}

function codeFor(compact: string, more: Partial<typeof EXPECTED> = {}): string {
  try {
    verifyProof(compact, { ...EXPECTED, ...more });
    return 'taken';
  } catch (thrown) {
    return codeOf(thrown);
  }
}

test('a proof of each algorithm is taken, and names its key as RFC 7638 does', async () => {
  const { thumbprint, jti, iatS } = verifyProof(await proof(), EXPECTED);
  expect({ thumbprint, jti, iatS }).toEqual({
    thumbprint: await calculateJwkThumbprint(await exportJWK(pair.publicKey)),
    jti: 'one',
    iatS: NOW_S,
  });
  const edwards = await generateKeyPair('Ed25519', { extractable: true });
  for (const alg of ['Ed25519', 'EdDSA']) {
    expect(verifyProof(await proof({}, { alg }, edwards), EXPECTED).thumbprint).toBe(
      await calculateJwkThumbprint(await exportJWK(edwards.publicKey)),
    );
  }
});

test('the URI is compared without query and fragment, and normalized', async () => {
  for (const htu of ['https://shop.example/orders?a=1#b', 'HTTPS://Shop.Example:443/x/../orders'])
    expect(codeFor(await proof({ htu })), htu).toBe('taken');
});

test('a proof for something else is refused', async () => {
  for (const claims of [
    { htm: 'GET' },
    { htu: 'http://shop.example/orders' },
    { htu: 'https://shop.example/orders/1' },
    { htu: 'https://other.example/orders' },
    { htu: 'https://user@shop.example/orders' },
    { htu: undefined },
    { ath: hash('sha256', 'another', 'base64url') },
    { ath: undefined },
    { iat: NOW_S - 61 },
    { iat: NOW_S + 61 },
    { iat: NOW_S + 0.5 },
    { iat: undefined },
    { jti: '' },
    { jti: 'x'.repeat(257) },
    { jti: undefined },
    { nonce: 7 },
  ])
    expect(codeFor(await proof(claims)), JSON.stringify(claims)).toBe('entry_proof_invalid');
});

test('another type, another key, a private key and what is critical are refused', async () => {
  const own = await exportJWK(pair.publicKey);
  const secret = await exportJWK(pair.privateKey);
  for (const header of [
    { typ: 'JWT' },
    { typ: undefined },
    { jwk: await exportJWK(other.publicKey) },
    { jwk: secret },
    { jwk: { ...own, x: own.y, y: own.x } },
    { jwk: { ...own, crv: 'P-384' } },
    { jwk: undefined },
    { jwk: 'text' },
  ])
    expect(codeFor(await proof({}, header)), JSON.stringify(header)).toBe('entry_proof_invalid');
  const [head = '', body = '', signature = ''] = (await proof()).split('.');
  const unsigned = Buffer.from(JSON.stringify({ alg: 'none', typ: 'dpop+jwt', jwk: own })).toString('base64url');
  const critical = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'dpop+jwt', jwk: own, crit: ['x'], x: 1 }));
  for (const compact of [
    `${unsigned}.${body}.`,
    `${unsigned}.${body}.${signature}`,
    `${critical.toString('base64url')}.${body}.${signature}`,
    `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    `${head}.${body}`,
    '',
    'x'.repeat(5_000),
  ])
    expect(codeFor(compact), compact.slice(0, 20)).toBe('entry_proof_invalid');
});

test('a flipped bit anywhere is refused', async () => {
  const compact = await proof();
  for (let at = 0; at < compact.length; at += 7) {
    const flipped = compact.slice(0, at) + (compact[at] === 'A' ? 'B' : 'A') + compact.slice(at + 1);
    expect(codeFor(flipped), String(at)).toBe('entry_proof_invalid');
  }
});

test('whoever asks for a nonce is asked about it, last', async () => {
  const asked: (string | null)[] = [];
  const checkNonce = (nonce: string | null): void => {
    asked.push(nonce);
    if (nonce !== 'right') throw new BehalfError('entry_nonce_needed');
  };
  const code = async (claims: object): Promise<string> => {
    const compact = await proof(claims as Record<string, unknown>);
    try {
      verifyProof(compact, { ...EXPECTED, checkNonce });
      return 'taken';
    } catch (thrown) {
      return codeOf(thrown);
    }
  };
  expect(await code({})).toBe('entry_nonce_needed');
  expect(await code({ nonce: 'wrong' })).toBe('entry_nonce_needed');
  expect(await code({ nonce: 'right' })).toBe('taken');
  expect(await code({ nonce: 'right', htm: 'GET' })).toBe('entry_proof_invalid');
  expect(asked).toEqual([null, 'wrong', 'right']);
});

const seen = (jti: string, thumbprint = 'k', iatS = NOW_S): VerifiedProof => ({ jti, thumbprint, iatS });

test('a proof is taken once, for as long as it could be taken, of one key', () => {
  const memory = createProofMemory({ sinceS: NOW_S });
  memory.take(seen('a', 'k', NOW_S + 60), NOW_S);
  memory.take(seen('a', 'other'), NOW_S);
  // Made ahead of our clock, it is good until 120 s from its coming.
  expect(() => memory.take(seen('a', 'k', NOW_S + 60), NOW_S + 120)).toThrow(/used before/);
  memory.take(seen('a', 'k', NOW_S + 122), NOW_S + 122);
});

test('where there is no room it is refused, never forgotten, and one key cannot take all of it', () => {
  const memory = createProofMemory({ sinceS: NOW_S, maxProofs: 4, maxOfAKey: 3 });
  for (const jti of ['a', 'b', 'c']) memory.take(seen(jti), NOW_S);
  expect(() => memory.take(seen('d'), NOW_S)).toThrow(BehalfError);
  memory.take(seen('d', 'other'), NOW_S);
  expect(() => memory.take(seen('e', 'third'), NOW_S)).toThrow(/overloaded/);
  expect(() => memory.take(seen('a'), NOW_S)).toThrow(/used before/);
  memory.take(seen('e', 'k', NOW_S + 122), NOW_S + 122);
});

test('a proof made before the memory began is refused: it may have been seen', () => {
  const memory = createProofMemory({ sinceS: NOW_S + 0.7 });
  expect(() => memory.take(seen('a', 'k', NOW_S - 1), NOW_S + 1)).toThrow(/entry_proof_invalid/);
  memory.take(seen('a'), NOW_S + 1);
});
