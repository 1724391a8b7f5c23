/**
 * Which pseudonym is whose (WIRE.md section 1): each sealed under a key of its user, and that under a secret of ours. Who
 * reads the database, or a copy of it, cannot tell the users of the record apart by name; where a user's key is gone, nobody
 * can. AES-256-GCM, its row as additional data, so that none can be put in another's place.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { KEY_BYTES, NONCE_BYTES, seal, TAG_BYTES, unseal } from '../../identity/at-rest/index.ts';
import type { Database } from '../store/database.ts';

/** Who sees the pseudonym. */
export type PseudonymAudience = 'mesh' | `client:${string}` | `exit:${string}`;

export interface Pseudonyms {
  /** The pseudonym of a user for one audience, `u:` and 128 random bits; made at first use. @throws {BehalfError} `key_unusable` */
  of(account: string, audience: PseudonymAudience): string;
  /** The account behind a pseudonym, or null. */
  accountOf(value: string, audience: PseudonymAudience): string | null;
}

/** Opens the pseudonyms of the database. `secret` is kept elsewhere than it. */
export function openPseudonyms({ sql, transaction }: Database, secret: Buffer): Pseudonyms {
  const selectKey = sql.prepare('SELECT sealed FROM user_key WHERE account = ?');
  const insertKey = sql.prepare('INSERT INTO user_key (account, sealed) VALUES (?, ?)');
  const select = sql.prepare('SELECT sealed FROM sealed_pseudonym WHERE account = ? AND audience = ?');
  const selectAccount = sql.prepare('SELECT account FROM sealed_pseudonym WHERE handle = ?');
  const insert = sql.prepare('INSERT INTO sealed_pseudonym (account, audience, handle, sealed) VALUES (?, ?, ?, ?)');
  const wrapping = derive(secret, 'user-key');
  const handles = derive(secret, 'handle');
  const handleOf = (value: string, audience: string): Buffer =>
    createHmac('sha256', handles)
      .update(JSON.stringify([audience, value]))
      .digest();

  const keyOf = (account: string): Buffer => {
    const known = selectKey.get(account)?.['sealed'];
    if (known !== undefined) return unsealRow(wrapping, known, account);
    const key = randomBytes(KEY_BYTES);
    insertKey.run(account, sealRow(wrapping, key, account));
    return key;
  };
  const rowOf = (account: string, audience: string): string => JSON.stringify([account, audience]);
  const put = (account: string, audience: string, value: string): void => {
    const sealed = sealRow(keyOf(account), Buffer.from(value, 'ascii'), rowOf(account, audience));
    insert.run(account, audience, handleOf(value, audience), sealed);
  };

  // Those of schema 2 and before lay open. If we stop within, all of them still do, and the next start seals them.
  transaction(() => {
    for (const row of sql.prepare('SELECT account, audience, value FROM pseudonym').all())
      put(String(row['account']), String(row['audience']), String(row['value']));
    sql.exec('DELETE FROM pseudonym');
  });

  return {
    of: (account, audience) => {
      const sealed = select.get(account, audience)?.['sealed'];
      if (sealed !== undefined) return unsealRow(keyOf(account), sealed, rowOf(account, audience)).toString('ascii');
      const value = `u:${randomBytes(16).toString('base64url')}`;
      put(account, audience, value);
      return value;
    },
    accountOf: (value, audience) => {
      const account = selectAccount.get(handleOf(value, audience))?.['account'];
      return typeof account === 'string' ? account : null;
    },
  };
}

function derive(secret: Buffer, purpose: string): Buffer {
  return createHmac('sha256', secret).update(`behalf-pseudonyms-${purpose}-v1`).digest();
}

/** Nonce, tag and ciphertext in a row: the order of the schema, kept. */
function sealRow(key: Buffer, plain: Buffer, row: string): Buffer {
  const sealed = seal(key, row, plain);
  const tag = sealed.subarray(-TAG_BYTES);
  return Buffer.concat([sealed.subarray(0, NONCE_BYTES), tag, sealed.subarray(NONCE_BYTES, -TAG_BYTES)]);
}

/** @throws {BehalfError} `key_unusable` */
function unsealRow(key: Buffer, stored: unknown, row: string): Buffer {
  const bytes = Buffer.from(stored as Uint8Array);
  const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  try {
    return unseal(
      key,
      row,
      Buffer.concat([bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES + TAG_BYTES), tag]),
    );
  } catch (cause) {
    throw new BehalfError('key_unusable', { why: 'the keys file is not the one of this database' }, { cause });
  }
}
