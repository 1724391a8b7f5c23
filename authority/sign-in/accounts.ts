/**
 * Local accounts, for development (DESIGN section 8): names and scrypt hashes come from the configuration, ids and
 * pseudonyms are made here once and kept. An id never leaves the authority; the mesh and each client see a pseudonym of
 * their own, 128 random bits (WIRE.md section 1).
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { BehalfError } from '../../errors/index.ts';
import type { Database } from '../store/database.ts';
import { openPseudonyms, type PseudonymAudience } from './pseudonyms.ts';

/** Either a file that holds the password (one trailing line break is not part of it), or a hash made by `hashPassword`. */
export type AccountConfig = { readonly name: string } & (
  | { readonly passwordFile: string }
  | { readonly passwordHash: string }
);

export type AccountId = string & { readonly __brand: 'AccountId' };

export interface Accounts {
  /** The account whose password this is, or null. Takes the same time for unknown names. @throws {BehalfError} `overloaded` */
  verifyPassword(name: string, password: string): Promise<AccountId | null>;
  /** Whether the id is one that is still configured. */
  isActive(id: string): boolean;
  /** The account of another issuer's user, made when they first come; its name is `<issuer>#<subject>`, and no password opens it. */
  ofIssuer(issuer: string, subject: string): AccountId;
  nameOf(id: string): string | null;
  idOf(name: string): AccountId | null;
  /** The pseudonym of a user for one audience; made at first use. */
  pseudonymOf(id: string, audience: PseudonymAudience): string;
  /** The account behind a pseudonym of the mesh, or null. */
  ofPseudonym(value: string): AccountId | null;
}

const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const HASH_FORM = /^scrypt\$32768,8,1\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;
/** Password checks at a time; each takes 32 MB and some 50 ms. One more is refused, not queued. */
const MAX_CHECKS_AT_A_TIME = 8;
const MAX_PASSWORD_BYTES = 1_024;

const scryptAsync = promisify<string, Buffer, number, typeof SCRYPT, Buffer>(scrypt);

/** The form in which a configuration may hold a password: `scrypt$32768,8,1$<salt>$<hash>`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await scryptAsync(password, salt, 32, SCRYPT);
  return `scrypt$32768,8,1$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/**
 * Opens the accounts of the configuration.
 * @throws {BehalfError} `config_invalid` for a repeated name, an unreadable password file or another hash; `key_unusable`
 */
export async function openAccounts(
  database: Database,
  configured: readonly AccountConfig[],
  pseudonymSecret: Buffer,
): Promise<Accounts> {
  const { sql } = database;
  const pseudonyms = openPseudonyms(database, pseudonymSecret);
  const insertAccount = sql.prepare('INSERT INTO account (id, name) VALUES (?, ?) ON CONFLICT (name) DO NOTHING');
  const selectId = sql.prepare('SELECT id FROM account WHERE name = ?');
  const selectName = sql.prepare('SELECT name FROM account WHERE id = ?');

  const hashes = new Map<string, string>();
  const active = new Set<string>();
  for (const account of configured) {
    if (hashes.has(account.name))
      throw new BehalfError('config_invalid', { account: account.name, why: 'named twice' });
    hashes.set(account.name, await hashOf(account));
    insertAccount.run(randomBytes(16).toString('base64url'), account.name);
    active.add(String(selectId.get(account.name)?.['id']));
  }
  const nobody = await hashPassword(randomBytes(16).toString('base64url'));

  let checks = 0;
  return {
    verifyPassword: async (name, password) => {
      if (checks >= MAX_CHECKS_AT_A_TIME) throw new BehalfError('overloaded', { what: 'sign-ins at a time' });
      checks += 1;
      try {
        const right = await matches(password, hashes.get(name) ?? nobody);
        return right && hashes.has(name) ? (String(selectId.get(name)?.['id']) as AccountId) : null;
      } finally {
        checks -= 1;
      }
    },
    isActive: (id) => active.has(id),
    ofIssuer: (issuer, subject) => {
      const name = `${issuer}#${subject}`;
      const known = selectId.get(name)?.['id'];
      if (known !== undefined) return String(known) as AccountId;
      insertAccount.run(randomBytes(16).toString('base64url'), name);
      return String(selectId.get(name)?.['id']) as AccountId;
    },
    nameOf: (id) => textOf(selectName.get(id)?.['name']),
    idOf: (name) => textOf(selectId.get(name)?.['id']) as AccountId | null,
    pseudonymOf: pseudonyms.of,
    ofPseudonym: (value) => pseudonyms.accountOf(value, 'mesh') as AccountId | null,
  };
}

async function hashOf(account: AccountConfig): Promise<string> {
  if ('passwordHash' in account) {
    if (HASH_FORM.test(account.passwordHash)) return account.passwordHash;
    throw new BehalfError('config_invalid', {
      account: account.name,
      why: 'passwordHash is not of the form scrypt$32768,8,1$…',
    });
  }
  try {
    return await hashPassword(readFileSync(account.passwordFile, 'utf8').replace(/\r?\n$/, ''));
  } catch (cause) {
    throw new BehalfError(
      'config_invalid',
      { account: account.name, why: 'its password file cannot be read' },
      { cause },
    );
  }
}

async function matches(password: string, stored: string): Promise<boolean> {
  const [, salt = '', expected = ''] = HASH_FORM.exec(stored) ?? [];
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false;
  const key = await scryptAsync(password, Buffer.from(salt, 'base64url'), 32, SCRYPT);
  return timingSafeEqual(key, Buffer.from(expected, 'base64url'));
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
