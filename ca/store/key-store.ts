/** Keys and certificates of the authority in its database: settings, sealed private keys, certificate chains. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { BehalfError } from '../../errors/index.ts';
import type { Vault, VaultParameters } from './vault.ts';

/** The authority's keys, by what they sign. `root` is absent where an operator's own CA is the root. */
export type KeyName = 'root' | 'issuing' | 'wit' | 'bundle' | 'live-state';
export type SettingName = 'trust_domain' | 'vault';
export type ChainName = 'root' | 'issuing';

export function readSetting(database: DatabaseSync, name: SettingName): string | null {
  const row = database.prepare('SELECT value FROM settings WHERE name = ?').get(name);
  return row === undefined ? null : String(row['value']);
}

export function writeSetting(database: DatabaseSync, name: SettingName, value: string): void {
  database.prepare('INSERT INTO settings (name, value) VALUES (?, ?)').run(name, value);
}

/** How the passphrase becomes the vault's key; null before init. */
export function readVaultParameters(database: DatabaseSync): VaultParameters | null {
  const stored = readSetting(database, 'vault');
  return stored === null ? null : (JSON.parse(stored) as VaultParameters);
}

export function writeKey(database: DatabaseSync, vault: Vault, name: KeyName, key: KeyObject): void {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  database.prepare('INSERT INTO sealed_keys (name, sealed) VALUES (?, ?)').run(name, vault.seal(name, der));
}

/** Puts another key in the place of one, which is gone with it. */
export function replaceKey(database: DatabaseSync, vault: Vault, name: KeyName, key: KeyObject): void {
  database.prepare('DELETE FROM sealed_keys WHERE name = ?').run(name);
  writeKey(database, vault, name, key);
}

/** @throws {BehalfError} `key_unusable` */
export function readKey(database: DatabaseSync, vault: Vault, name: KeyName): KeyObject {
  const row = database.prepare('SELECT sealed FROM sealed_keys WHERE name = ?').get(name);
  if (row === undefined) throw new BehalfError('key_unusable', { key: name, why: 'not in the store' });
  const der = vault.open(name, Buffer.from(row['sealed'] as Uint8Array));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

export function writeChain(database: DatabaseSync, name: ChainName, chain: readonly Buffer[]): void {
  const insert = database.prepare('INSERT INTO certificates (name, position, der) VALUES (?, ?, ?)');
  for (const [position, der] of chain.entries()) insert.run(name, position, der);
}

/** DER, the issued one first. */
export function readChain(database: DatabaseSync, name: ChainName): Buffer[] {
  const rows = database.prepare('SELECT der FROM certificates WHERE name = ? ORDER BY position').all(name);
  return rows.map((row) => Buffer.from(row['der'] as Uint8Array));
}
