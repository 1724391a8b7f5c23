import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AUTHORITY_SCHEMA, type AuthorityConfig } from './config.ts';
import { startAuthority } from './start.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'behalf-authority-'));
  writeFileSync(join(dir, 'passphrase'), 'a passphrase for tests\n');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const config = (more: Partial<AuthorityConfig> = {}): AuthorityConfig => ({
  trust: {
    caAddress: '127.0.0.1:1',
    bundleFile: join(dir, 'bundle.json'),
    attest: { joinTokenFile: join(dir, 'token') },
  },
  dataDir: join(dir, 'data'),
  passphraseFile: join(dir, 'passphrase'),
  listen: '127.0.0.1:0',
  http: { listen: '127.0.0.1:0' },
  collectorAddress: '127.0.0.1:1',
  accounts: [{ name: 'demo', passwordFile: join(dir, 'password') }],
  clients: [
    { id: 'app', name: 'App', redirectUris: ['http://127.0.0.1:9/cb'], scopes: ['a'], owner: 'o', reason: 'r' },
  ],
  ...more,
});

const start = (more: Partial<AuthorityConfig>) =>
  startAuthority(config(more), { log: pino({ level: 'silent' }), signal: new AbortController().signal });

test('an issuer without TLS is taken on loopback only, by name and by port', async () => {
  for (const http of [
    { listen: '127.0.0.1:0', issuer: 'http://auth.example' },
    { listen: '0.0.0.0:0', issuer: 'http://127.0.0.1:8080' },
    { listen: '0.0.0.0:0' },
    { listen: '127.0.0.1:0', issuer: 'https://auth.example/path' },
  ]) {
    await expect(start({ http })).rejects.toMatchObject({ code: 'config_invalid' });
  }
});

test('a short or missing passphrase refuses to start', async () => {
  writeFileSync(join(dir, 'passphrase'), 'short\n');
  await expect(start({})).rejects.toMatchObject({ code: 'key_unusable' });
  await expect(start({ passphraseFile: join(dir, 'none') })).rejects.toMatchObject({ code: 'key_unusable' });
});

test('a port in use is named, and nothing is left open', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  await expect(start({ http: { listen: `127.0.0.1:${port}` } })).rejects.toMatchObject({ code: 'port_in_use' });
  await new Promise((resolve) => taken.close(resolve));
});

test('the schema takes a whole configuration and refuses unknown members', () => {
  const validate = new Ajv({ allErrors: true, strict: false, formats: { uri: true } }).compile(AUTHORITY_SCHEMA);
  expect(validate(config({ accessTokenTtlS: 600, devMode: true }))).toBe(true);
  expect(validate({ ...config(), surprise: 1 })).toBe(false);
  expect(validate(config({ accounts: [{ name: 'x' } as never] }))).toBe(false);
});
