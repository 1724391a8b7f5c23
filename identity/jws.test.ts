import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { CompactSign, compactVerify } from 'jose';
import { expect, test } from 'vitest';
import { BehalfError } from '../errors/index.ts';
import {
  decodeBase64url,
  isBase64url,
  parseCompactJws,
  type Refusal,
  signCompactJws,
  signEs256,
  verifyEs256,
} from './jws.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const LIMITS = { maxDepth: 5, maxMembers: 64 };
const REFUSAL: Refusal = { code: 'delegation_malformed', object: 'test' };
const HALF = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;
const sOf = (signature: Buffer) => BigInt(`0x${signature.subarray(32).toString('hex')}`);

test('base64url is canonical: decode of encode is identity, and every other text of the same bytes is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const text = Buffer.from(bytes).toString('base64url');
      expect(decodeBase64url(text)).toEqual(Buffer.from(bytes));
      expect(decodeBase64url(`${text}=`)).toBeNull();
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      expect(isBase64url(text)).toBe(Buffer.from(text, 'base64url').toString('base64url') === text);
    }),
    { numRuns: 2000 },
  );
});

test.each(['A', 'AB', 'AAB', 'AA==', 'AA\n', 'A A', 'AA+/', 'ÄA'])('base64url %j is refused', (text) => {
  expect(decodeBase64url(text)).toBeNull();
});

test('every signature has s in the lower half and verifies', () => {
  for (let i = 0; i < 64; i++) {
    const signature = signEs256(`input ${i}`, privateKey);
    expect(signature).toHaveLength(64);
    expect(sOf(signature) <= HALF).toBe(true);
    expect(verifyEs256(`input ${i}`, signature, publicKey)).toBe(true);
  }
});

test('a signature with s in the upper half is refused, though Node takes it', () => {
  let high: Buffer | null = null;
  for (let i = 0; i < 200 && high === null; i++) {
    const signature = sign('sha256', Buffer.from('input'), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    if (sOf(signature) > HALF) high = signature;
  }
  expect(high).not.toBeNull();
  expect(verifyEs256('input', high as Buffer, publicKey)).toBe(false);
});

test('a signature of another size, and a key of another kind, verify nothing', () => {
  const signature = signEs256('input', privateKey);
  expect(verifyEs256('input', signature.subarray(0, 63), publicKey)).toBe(false);
  expect(verifyEs256('input', Buffer.alloc(0), publicKey)).toBe(false);
  const { publicKey: ed25519 } = generateKeyPairSync('ed25519');
  const { publicKey: p384 } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  expect(verifyEs256('input', signature, ed25519)).toBe(false);
  expect(verifyEs256('input', signature, p384)).toBe(false);
});

test('jose verifies what is signed here, and what jose signs is read here', async () => {
  const compact = signCompactJws({ typ: 't', alg: 'ES256' }, { a: 1 }, privateKey);
  const { payload } = await compactVerify(compact, publicKey);
  expect(Buffer.from(payload).toString()).toBe('{"a":1}');
  const theirs = await new CompactSign(Buffer.from('{"b":2}')).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
  expect(parseCompactJws(theirs, LIMITS, REFUSAL).payload['b']).toBe(2);
});

test('text that is no compact JWS gives the coded refusal and nothing else', () => {
  const good = signCompactJws({ alg: 'ES256' }, { a: 1 }, privateKey);
  const [header, payload, signature] = good.split('.');
  const ugly = [
    '',
    '.',
    '..',
    '...',
    `${good}.`,
    `${good}.AA`,
    `${header}.${payload}`,
    `.${payload}.${signature}`,
    `${header}..${signature}`,
    `${header}.${payload}.`,
    ` ${good}`,
    `${good}\n`,
  ];
  for (const text of ugly) expect(() => parseCompactJws(text, LIMITS, REFUSAL), text).toThrow(BehalfError);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseCompactJws(text, LIMITS, REFUSAL);
      } catch (error) {
        expect(error).toBeInstanceOf(BehalfError);
      }
    }),
  );
});
