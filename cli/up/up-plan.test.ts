import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BehalfError } from '../../errors/index.ts';
import { readUpPlan } from './up-plan.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/notes', import.meta.url));

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'behalf-up-plan-'));
  cpSync(EXAMPLE, folder, { recursive: true, filter: (path) => !path.endsWith('.behalf') });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function planWith(from: string, to: string): ReturnType<typeof readUpPlan> {
  const file = join(folder, 'behalf.yaml');
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
  return readUpPlan(file);
}

function defectWith(from: string, to: string): BehalfError {
  try {
    planWith(from, to);
  } catch (error) {
    return error as BehalfError;
  }
  throw new Error('the file was taken');
}

test('an entry is on the port that a person chose, or on a free one, or not there', () => {
  const entryOf = (to: string) => planWith('entry: "127.0.0.1:8080"', to).services[0]?.entry;
  expect(entryOf('entry: "127.0.0.1:8080"')).toEqual({ refusals: 'hidden', listen: '127.0.0.1:8080' });
  writeFileSync(join(folder, 'behalf.yaml'), readFileSync(join(EXAMPLE, 'behalf.yaml')));
  expect(entryOf('entry: true')).toEqual({ refusals: 'hidden' });
  writeFileSync(join(folder, 'behalf.yaml'), readFileSync(join(EXAMPLE, 'behalf.yaml')));
  expect(entryOf('entry: false')).toBeUndefined();
});

test('who calls whom comes from the policy', () => {
  expect(readUpPlan(join(folder, 'behalf.yaml')).services.map(({ name, calls }) => [name, calls])).toEqual([
    ['desk', ['archive']],
    ['archive', []],
  ]);
});

test('a service learns its port and the local port of each service and destination outside that it calls', () => {
  const [desk] = readUpPlan(join(folder, 'behalf.yaml')).services;
  const { command, environment } = desk!.program!({
    listen: '127.0.0.1:1',
    localApi: 'http://127.0.0.1:2',
    shared: 'http://127.0.0.1:3',
    peers: { archive: 'http://127.0.0.1:4' },
    exits: { bank: 'http://127.0.0.1:5' },
  });
  expect(command).toBe(process.execPath);
  expect(environment).toEqual({
    PORT: '1',
    BEHALF_LOCAL_API_URL: 'http://127.0.0.1:2',
    ARCHIVE_URL: 'http://127.0.0.1:4',
    BANK_URL: 'http://127.0.0.1:5',
  });
});

test('an entry beyond loopback is refused', () => {
  expect(defectWith('127.0.0.1:8080', '0.0.0.0:8080').detail).toMatchObject({ key: 'services.desk.entry' });
});

test('a misspelt key of a service, or name of one, is refused with its line and the nearest name', () => {
  expect(defectWith('entry:', 'entyr:').detail).toMatchObject({
    line: 4,
    key: 'services.desk.entyr',
    why: 'unknown key; did you mean entry?',
  });
  writeFileSync(join(folder, 'behalf.yaml'), readFileSync(join(EXAMPLE, 'behalf.yaml')));
  expect(defectWith('archive:', 'archiv:').detail).toMatchObject({
    line: 5,
    key: 'services.archiv',
    why: expect.stringContaining('did you mean archive?'),
  });
});
