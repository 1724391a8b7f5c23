/**
 * What `behalf.yaml` says of accounts and clients, made ready for the authority: an account without a password gets one, which
 * stands in a file of the mesh's directory alone, and files are meant relative to `behalf.yaml`.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BehalfError } from '../../errors/index.ts';
import type { StateDir } from '../mesh/state-dir.ts';

/** Members that are read here; the authority's own schema judges all of them. */
interface Given {
  readonly accounts?: readonly { readonly name?: unknown; readonly passwordFile?: string }[];
  readonly clients?: readonly { readonly confidential?: { readonly secretFile?: string } }[];
}

const PASSWORD_BYTES = 18;
/** Names that may be the name of a file. */
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$/;

/**
 * Returns the same members with a password file for each account.
 * @throws {BehalfError} `config_invalid` where an account without a password has a name that cannot be a file's
 */
export function withDevAccounts(authority: object, dir: StateDir, folder: string): object {
  const { accounts, clients } = authority as Given;
  return {
    ...authority,
    ...(Array.isArray(accounts) ? { accounts: accounts.map((account) => withPassword(account, dir, folder)) } : {}),
    ...(Array.isArray(clients) ? { clients: clients.map((client) => withSecretFile(client, folder)) } : {}),
  };
}

function withPassword(account: NonNullable<Given['accounts']>[number], dir: StateDir, folder: string): object {
  if (typeof account !== 'object' || account === null || 'passwordHash' in account) return account;
  if (typeof account.passwordFile === 'string')
    return { ...account, passwordFile: resolve(folder, account.passwordFile) };
  const { name } = account;
  if (typeof name !== 'string') return account;
  if (!FILE_NAME.test(name))
    throw new BehalfError('config_invalid', {
      key: 'authority.accounts',
      why: `${JSON.stringify(name.slice(0, 64))} needs a passwordFile: a password is made only for plain names`,
    });
  const file = `accounts/${name}`;
  // Kept over restarts, as a person may have noted it down.
  if (!existsSync(dir.file(file))) dir.write(file, randomBytes(PASSWORD_BYTES).toString('base64url'));
  return { ...account, passwordFile: dir.file(file) };
}

function withSecretFile(client: NonNullable<Given['clients']>[number], folder: string): object {
  const secretFile = client?.confidential?.secretFile;
  if (typeof secretFile !== 'string') return client;
  return { ...client, confidential: { ...client.confidential, secretFile: resolve(folder, secretFile) } };
}
