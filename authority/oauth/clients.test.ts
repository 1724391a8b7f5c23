import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { type ClientConfig, metadataOfClient } from './clients.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-clients-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function codeOfClient(more: Partial<ClientConfig>): string {
  const client = {
    id: 'app',
    name: 'App',
    redirectUris: ['https://app.example/cb'],
    scopes: [],
    owner: 'o',
    reason: 'r',
  };
  try {
    metadataOfClient({ ...client, ...more });
    return 'taken';
  } catch (error) {
    return codeOf(error);
  }
}

test('a redirect URI in the clear is taken on loopback alone', () => {
  expect(codeOfClient({})).toBe('taken');
  expect(codeOfClient({ redirectUris: ['http://127.0.0.1:1/cb'] })).toBe('taken');
  for (const uri of [
    'http://app.example/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://localhost.evil.example/cb',
    'no uri',
  ]) {
    expect(codeOfClient({ redirectUris: [uri] })).toBe('config_invalid');
  }
});

test('redirect URIs of one client are on one host', () => {
  expect(codeOfClient({ redirectUris: ['https://app.example/cb', 'https://other.example/cb'] })).toBe('config_invalid');
});

test('a secret that could be guessed is refused', () => {
  const secretFile = join(dir, 'secret');
  expect(codeOfClient({ confidential: { secretFile } })).toBe('config_invalid');
  writeFileSync(secretFile, 'short\n');
  expect(codeOfClient({ confidential: { secretFile } })).toBe('config_invalid');
  writeFileSync(secretFile, `${'x'.repeat(32)}\n`);
  expect(codeOfClient({ confidential: { secretFile } })).toBe('taken');
});
