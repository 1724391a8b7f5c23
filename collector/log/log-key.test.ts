import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { vkeyOf } from '../../audit/merkle/index.ts';
import { parseTrustDomain } from '../../identity/index.ts';
import { openLogKey } from './log-key.ts';

const TRUST_DOMAIN = parseTrustDomain('shop.example');
let dir: string;
let file: string;
let passphraseFile: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-log-key-'));
  file = join(dir, 'log-key');
  passphraseFile = join(dir, 'passphrase');
  writeFileSync(passphraseFile, 'a passphrase of some length\n');
});

afterEach(() => rmSync(dir, { recursive: true }));

test('the key is made once, is for its owner alone, and names its log', () => {
  const first = vkeyOf(openLogKey(file, TRUST_DOMAIN, null));
  expect(first.startsWith('shop.example/log+')).toBe(true);
  expect(vkeyOf(openLogKey(file, TRUST_DOMAIN, null))).toBe(first);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('with a passphrase the file does not hold the key, and another passphrase or none is key_unusable', () => {
  const first = vkeyOf(openLogKey(file, TRUST_DOMAIN, passphraseFile));
  expect(vkeyOf(openLogKey(file, TRUST_DOMAIN, passphraseFile))).toBe(first);
  expect(readFileSync(file, 'utf8')).not.toContain('PRIVATE KEY');
  expect(() => openLogKey(file, TRUST_DOMAIN, null)).toThrow(/key_unusable/);
  writeFileSync(passphraseFile, 'another passphrase of some length');
  expect(() => openLogKey(file, TRUST_DOMAIN, passphraseFile)).toThrow(/key_unusable/);
  writeFileSync(passphraseFile, 'short');
  expect(() => openLogKey(file, TRUST_DOMAIN, passphraseFile)).toThrow(/key_unusable/);
});

test('a key that lay open is sealed once a passphrase is configured, and stays the same key', () => {
  const open = vkeyOf(openLogKey(file, TRUST_DOMAIN, null));
  expect(vkeyOf(openLogKey(file, TRUST_DOMAIN, passphraseFile))).toBe(open);
  expect(readFileSync(file, 'utf8')).not.toContain('PRIVATE KEY');
});

test('a file that is no key is key_unusable', () => {
  for (const content of ['', 'nonsense', '{}', '{"format":"behalf-log-key-v1","salt":"AA","sealed":"AA"}']) {
    writeFileSync(file, content);
    expect(() => openLogKey(file, TRUST_DOMAIN, passphraseFile)).toThrow(/key_unusable/);
  }
});
