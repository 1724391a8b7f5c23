/** The configuration's schema, and what it cannot say. */
import { Ajv } from 'ajv';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestIssuer, type TestIdentity } from '../identity/testing/issuer.ts';
import type { SidecarConfig } from './config.ts';
import { SIDECAR_SCHEMA } from './config-schema.ts';
import { runSidecar } from './start.ts';

const validate = new Ajv({ allErrors: true }).compile(SIDECAR_SCHEMA);
const CONFIG: SidecarConfig = {
  trust: { caAddress: '127.0.0.1:1', bundleFile: 'bundle.json', attest: { joinTokenFile: 'token' } },
  dataDir: '/nowhere/behalf',
  service: 'spiffe://shop.example/orders',
  collectorAddress: '127.0.0.1:1',
  mesh: { listen: '127.0.0.1:0' },
  app: { address: 'unix:/run/app.sock', protocol: 'h2c' },
  peers: [{ name: 'payments', id: 'spiffe://shop.example/payments', listen: '127.0.0.1:0', endpoints: ['[::1]:8443'] }],
  entry: { listen: '0.0.0.0:8080', forward: 'payments', refusals: 'hidden', realm: 'shop' },
  audit: { durability: 'strict' },
  context: { traceId: true, lingerMs: 1_000 },
  timeouts: { connectMs: 100 },
};

let identity: TestIdentity;

beforeAll(async () => {
  identity = await (await createTestIssuer('shop.example')).issue('spiffe://shop.example/orders');
});

afterAll(() => identity.close());

test('a full configuration is valid, and an unknown key anywhere is not', () => {
  expect(validate(CONFIG), JSON.stringify(validate.errors)).toBe(true);
  expect(validate({ ...CONFIG, peer: [] })).toBe(false);
  expect(validate({ ...CONFIG, app: { ...CONFIG.app, tls: true } })).toBe(false);
  expect(validate({ ...CONFIG, peers: [{ ...CONFIG.peers?.[0], endpoint: 'x' }] })).toBe(false);
});

test('values of another form are not valid', () => {
  for (const wrong of [
    { service: 'orders' },
    { collectorAddress: '127.0.0.1' },
    { mode: 'off' },
    { peers: [{ name: 'Payments!', id: 'spiffe://shop.example/payments' }] },
    { entry: { listen: ':1', realm: 'a"b' } },
    { timeouts: { connectMs: 0 } },
    { allowedUid: -1 },
    { context: { lingerMs: 999 } },
    { context: { lingerMs: 60_001 } },
  ]) {
    expect(validate({ ...CONFIG, ...wrong }), JSON.stringify(wrong)).toBe(false);
  }
});

test('every property is described', () => {
  const missing: string[] = [];
  const look = (schema: object, at: string): void => {
    for (const [name, value] of Object.entries('properties' in schema ? (schema.properties as object) : {})) {
      if (!('description' in value)) missing.push(`${at}.${name}`);
      look(value as object, `${at}.${name}`);
    }
    if ('items' in schema) look(schema.items as object, `${at}[]`);
  };
  look(SIDECAR_SCHEMA, '');
  expect(missing).toEqual([]);
});

const INCONSISTENT: Record<string, Partial<SidecarConfig>> = {
  'mode mtls outside of development': { mode: 'mtls' },
  'a peer’s name twice': { peers: [...(CONFIG.peers ?? []), ...(CONFIG.peers ?? [])] },
  'an entry that forwards to nobody': { entry: { listen: '127.0.0.1:0', forward: 'nobody' } },
  'an entry without an authority': {},
  'another service than the identity’s': {
    entry: { listen: '127.0.0.1:0' },
    authorityAddress: '127.0.0.1:1',
    service: 'spiffe://shop.example/payments',
  },
};

for (const [what, change] of Object.entries(INCONSISTENT)) {
  test(`${what} is config_invalid`, async () => {
    const starting = runSidecar({ ...CONFIG, ...change }, identity, {
      log: pino({ level: 'silent' }),
      signal: new AbortController().signal,
    });
    await expect(starting).rejects.toMatchObject({ code: 'config_invalid' });
  });
}
