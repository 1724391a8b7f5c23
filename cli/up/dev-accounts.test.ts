import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type StateDir, takeStateDir } from '../mesh/state-dir.ts';
import { withDevAccounts } from './dev-accounts.ts';

let home: string;
let dir: StateDir;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'behalf-accounts-'));
  dir = takeStateDir(join(home, 'mesh'), { fresh: true });
});

afterEach(() => {
  dir.release();
  rmSync(home, { recursive: true, force: true });
});

test('an account without a password gets one, for its owner to read, and keeps it', () => {
  const first = withDevAccounts({ accounts: [{ name: 'ada' }] }, dir, home);
  const file = dir.file('accounts', 'ada');
  expect(first).toEqual({ accounts: [{ name: 'ada', passwordFile: file }] });
  const password = readFileSync(file, 'utf8');
  expect(password.length).toBeGreaterThanOrEqual(24);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(withDevAccounts({ accounts: [{ name: 'ada' }] }, dir, home)).toEqual(first);
  expect(readFileSync(file, 'utf8')).toBe(password);
});

test('files are meant relative to behalf.yaml; a hash and all other members stay as they are', () => {
  expect(
    withDevAccounts(
      {
        accessTokenTtlS: 60,
        accounts: [
          { name: 'ada', passwordFile: 'secret/ada' },
          { name: 'bob', passwordHash: 'scrypt$…' },
        ],
        clients: [{ id: 'a' }, { id: 'b', confidential: { secretFile: 'secret/b' } }],
      },
      dir,
      '/etc/mesh',
    ),
  ).toEqual({
    accessTokenTtlS: 60,
    accounts: [
      { name: 'ada', passwordFile: '/etc/mesh/secret/ada' },
      { name: 'bob', passwordHash: 'scrypt$…' },
    ],
    clients: [{ id: 'a' }, { id: 'b', confidential: { secretFile: '/etc/mesh/secret/b' } }],
  });
});

test.each(['../ada', 'a/b', '', '.hidden', 'a'.repeat(65)])(
  'no password file is made for the name %j, which could lead elsewhere',
  (name) => {
    expect(() => withDevAccounts({ accounts: [{ name }] }, dir, home)).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  },
);

test('what is no account is left to the schema of the authority', () => {
  for (const accounts of ['ada', [null], [{}], [{ name: 7 }]])
    expect(withDevAccounts({ accounts }, dir, home)).toEqual({ accounts });
});
