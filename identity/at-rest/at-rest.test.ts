import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { keyFromPassphrase, readPassphrase, SALT_BYTES, seal, unseal } from './index.ts';

const key = keyFromPassphrase('correct horse battery', Buffer.alloc(SALT_BYTES, 7));
const secret = Buffer.from('a private key');

test('what was sealed opens again under its key and in its place', () => {
  const sealed = seal(key, 'place', secret);
  expect(sealed.includes(secret)).toBe(false);
  expect(unseal(key, 'place', sealed)).toEqual(secret);
  expect(seal(key, 'place', secret)).not.toEqual(sealed);
});

test('another key or place, any flipped byte and any cut opens nothing', () => {
  const sealed = seal(key, 'place', secret);
  expect(() => unseal(key, 'other', sealed)).toThrow();
  expect(() => unseal(keyFromPassphrase('correct horse battery', Buffer.alloc(SALT_BYTES)), 'place', sealed)).toThrow();
  for (let at = 0; at < sealed.length; at += 1) {
    const flipped = Buffer.from(sealed);
    flipped[at] = (flipped[at] as number) ^ 1;
    expect(() => unseal(key, 'place', flipped)).toThrow();
    expect(() => unseal(key, 'place', sealed.subarray(0, at))).toThrow();
  }
});

test('the key of a passphrase is that of RFC 7914’s function', () => {
  // Section 12, third vector, cut to 32 bytes: scrypt (P="pleaseletmein", S="SodiumChloride", N=16384, r=8, p=1).
  const derived = keyFromPassphrase('pleaseletmein', Buffer.from('SodiumChloride'), {
    cost: 16_384,
    blockSize: 8,
    parallelization: 1,
  });
  expect(derived.toString('hex')).toBe('7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2');
});

test('a passphrase file gives its text without the line break, and a missing or short one is refused', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'behalf-passphrase-')), 'passphrase');
  const unusable = expect.objectContaining({ code: 'key_unusable' });
  expect(() => readPassphrase(file)).toThrowError(unusable);
  writeFileSync(file, 'long enough to use\n');
  expect(readPassphrase(file)).toBe('long enough to use');
  writeFileSync(file, 'short\n');
  expect(() => readPassphrase(file)).toThrowError(unusable);
});
