import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { IDENTITY_PROPERTIES } from '../../identity/own/config.ts';
import { loadConfig } from './load-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'behalf-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['trust', 'dataDir'],
  properties: {
    ...IDENTITY_PROPERTIES,
    listen: { type: 'string', description: 'Where to listen.' },
    retries: { type: 'integer', description: 'How often.' },
    loud: { type: 'boolean', description: 'Whether to say so.' },
    peers: {
      type: 'array',
      description: 'Peers.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: { name: { type: 'string', description: 'Its name.' } },
      },
    },
  },
} as const;

const GOOD = `trust:
  caAddress: 127.0.0.1:1
  bundleFile: b.json
  attest:
    joinTokenFile: t
dataDir: /d
`;

let files = 0;
function load(
  text: string,
  over: { environment?: Record<string, string>; flags?: Record<string, unknown> } = {},
): Record<string, unknown> {
  const file = join(folder, `${++files}.yaml`);
  writeFileSync(file, text);
  return loadConfig({ schema: SCHEMA, file, environment: over.environment ?? {}, flags: over.flags ?? {} });
}

function defectOf(text: string, over = {}): BehalfError {
  try {
    load(text, over);
  } catch (error) {
    if (error instanceof BehalfError) return error;
    throw error;
  }
  throw new Error('was taken');
}

test('flags go over the environment, and the environment over the file', () => {
  const config = load(`${GOOD}listen: a\nretries: 1\n`, {
    environment: { BEHALF_LISTEN: 'b', BEHALF_RETRIES: '2', BEHALF_LOUD: 'true', OTHER: 'x' },
    flags: { listen: 'c' },
  });
  expect(config).toMatchObject({ listen: 'c', retries: 2, loud: true, dataDir: '/d' });
});

test('a nested value can come from its variable alone', () => {
  const config = load('dataDir: /d\ntrust: {caAddress: "a:1", attest: {unixSocket: s}}\n', {
    environment: { BEHALF_TRUST_BUNDLE_FILE: 'x' },
  });
  expect(config).toMatchObject({ trust: { bundleFile: 'x' } });
});

test('an unknown key is refused with its line and the nearest name', () => {
  const error = defectOf(`${GOOD}lisen: a\n`);
  expect(error.code).toBe('config_invalid');
  expect(error.detail).toMatchObject({ line: 7, key: 'lisen', why: 'unknown key; did you mean listen?' });
});

test('an unknown key within an alternative is told by the alternatives’ names', () => {
  const error = defectOf(GOOD.replace('joinTokenFile', 'joinTokenFlie'));
  expect(error.detail).toMatchObject({
    line: 5,
    key: 'trust.attest.joinTokenFlie',
    why: 'unknown key; did you mean joinTokenFile?',
  });
});

test('both forms of an alternative at once are refused', () => {
  expect(defectOf(`${GOOD.replace('joinTokenFile: t', 'joinTokenFile: t\n    unixSocket: s')}`).detail).toMatchObject({
    key: 'trust.attest',
  });
});

test('a missing key, a wrong type in a list, a duplicate key, broken YAML and a missing file are told apart', () => {
  expect(defectOf(GOOD.replace('dataDir: /d\n', '')).detail).toMatchObject({ key: 'dataDir', why: 'is missing' });
  expect(defectOf(`${GOOD}peers:\n  - name: a\n  - name: 7\n`).detail).toMatchObject({
    line: 9,
    key: 'peers.1.name',
    why: 'must be string',
  });
  expect(defectOf(`${GOOD}dataDir: /e\n`).detail).toMatchObject({ line: 7 });
  expect(defectOf('a: [1').code).toBe('config_invalid');
  expect(() => loadConfig({ schema: SCHEMA, file: join(folder, 'none.yaml'), environment: {}, flags: {} })).toThrow(
    /ENOENT/,
  );
});

test('a wrong value from the environment is told by its variable', () => {
  expect(defectOf(GOOD, { environment: { BEHALF_RETRIES: 'many' } }).detail).toMatchObject({ from: 'BEHALF_RETRIES' });
  expect(defectOf(GOOD, { environment: { BEHALF_TRUST_CA_ADDRESS: 'nonsense' } }).detail).toMatchObject({
    from: 'BEHALF_TRUST_CA_ADDRESS',
  });
});
