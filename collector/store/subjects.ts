/** One key a subject: made at the first event about it, found again by its pseudonym, and never outside this database. */
import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { KEY_BYTES } from './seal.ts';

/** Keys kept in memory; beyond it they are read again. */
const MAX_CACHED = 10_000;

export interface SubjectKey {
  readonly id: number;
  readonly key: Buffer;
}

export interface Subjects {
  /** The subject's key, made if there is none; inside a transaction. */
  readonly keyFor: (subject: string) => SubjectKey;
  /** The key by its row; null once the subject is erased. */
  readonly keyOf: (id: number) => Buffer | null;
  /** The row of a subject that has a key. */
  readonly idOf: (subject: string) => number | null;
  /** Forgets what is in memory: after a rollback it may name rows that are not there. */
  readonly reset: () => void;
}

export function createSubjects(database: DatabaseSync): Subjects {
  const byName = database.prepare('SELECT id, key FROM subjects WHERE subject = ?');
  const byId = database.prepare('SELECT key FROM subjects WHERE id = ?');
  const cache = new Map<string, SubjectKey>();

  const find = (subject: string): SubjectKey | null => {
    const row = byName.get(subject);
    return row === undefined ? null : { id: Number(row.id), key: Buffer.from(row.key as Uint8Array) };
  };
  return {
    keyFor(subject) {
      const known = cache.get(subject) ?? find(subject) ?? create(subject);
      if (cache.size >= MAX_CACHED) cache.clear();
      cache.set(subject, known);
      return known;
    },
    keyOf(id) {
      const row = byId.get(id);
      return row === undefined ? null : Buffer.from(row.key as Uint8Array);
    },
    idOf: (subject) => find(subject)?.id ?? null,
    reset: () => cache.clear(),
  };

  function create(subject: string): SubjectKey {
    const key = randomBytes(KEY_BYTES);
    const insert = database.prepare('INSERT INTO subjects (subject, key) VALUES (?, ?)');
    return { id: Number(insert.run(subject, key).lastInsertRowid), key };
  }
}
