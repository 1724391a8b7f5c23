import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { hasOpenssl, runOpenssl } from '../testing/openssl.ts';
import { makeCsr, parseCsr } from './csr.ts';

function reason(der: Buffer): unknown {
  try {
    parseCsr(der);
    return 'taken';
  } catch (error) {
    expect(error).toBeInstanceOf(BehalfError);
    expect((error as BehalfError).code).toBe('csr_invalid');
    return (error as BehalfError).detail['why'];
  }
}

test('a request gives the key that it was made for', () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(parseCsr(makeCsr(keys)).equals(keys.publicKey)).toBe(true);
});

test('a request signed by another key is refused', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(reason(makeCsr({ publicKey, privateKey }))).toBe('the signature does not verify');
});

test('any flipped byte is refused', () => {
  const der = makeCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  for (let at = 0; at < der.length; at += 1) {
    const flipped = Buffer.from(der);
    flipped[at] = (flipped[at] as number) ^ 0x01;
    expect([at, reason(flipped)]).not.toEqual([at, 'taken']);
  }
});

test('garbage, nothing and too much are refused', () => {
  expect(reason(Buffer.from('garbage'))).toBe('not a PKCS#10 request');
  expect(reason(Buffer.alloc(0))).toBe('not a PKCS#10 request');
  expect(reason(Buffer.alloc(8193))).toBe('too large');
});

describe.skipIf(!hasOpenssl())('made by OpenSSL', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'behalf-csr-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  function made(key: string[], hash: string): unknown {
    runOpenssl(
      dir,
      'req',
      '-new',
      '-newkey',
      ...key,
      '-nodes',
      '-keyout',
      'key',
      '-subj',
      '/CN=x',
      '-outform',
      'DER',
      '-out',
      'csr',
      hash,
    );
    return reason(readFileSync(join(dir, 'csr')));
  }
  const curve = (name: string) => ['ec', '-pkeyopt', `ec_paramgen_curve:${name}`];

  test('P-256 with SHA-256 is taken; other keys and hashes are refused', () => {
    expect(made(curve('P-256'), '-sha256')).toBe('taken');
    expect(made(curve('P-384'), '-sha256')).toBe('the key is not P-256');
    expect(made(['rsa:2048'], '-sha256')).toBe('the key is not P-256');
    expect(made(curve('P-256'), '-sha512')).toBe('not signed by ECDSA with SHA-256');
    // Such a key is P-256 by its numbers, and would go into the certificate with them.
    expect(made([...curve('P-256'), '-pkeyopt', 'ec_param_enc:explicit'], '-sha256')).toBe(
      'the key is not in its plain form',
    );
  });
});
