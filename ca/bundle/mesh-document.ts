/**
 * The mesh bundle document as the authority keeps it: stored, numbered, signed, and handed to every follower when it
 * changes. The file beside it is the bootstrap trust that new parts are given; the database is the truth.
 */
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import {
  MAX_BUNDLE_BYTES,
  type MeshBundle,
  type MeshBundleDocument,
  parseMeshBundle,
  type SignedStatement,
  type StatementKey,
  signStatement,
} from '../../identity/index.ts';
import { writeFileAtomically } from '../../identity/own/index.ts';
import { inTransaction } from '../store/database.ts';

export const BUNDLE_FILE = 'bundle.json';
const WORLD_READABLE = 0o644;

/** The current document, signed, and news of it. */
export interface MeshDocument {
  bundle(): MeshBundle;
  statement(): SignedStatement;
  /**
   * Replaces the `behalf` part of the document; gives the sequence number. Nothing changes if it stays as it was.
   * @throws {BehalfError} `bundle_invalid` for a document that receivers would refuse
   */
  publish(change: (behalf: MeshBundleDocument['behalf']) => MeshBundleDocument['behalf']): number;
  /**
   * Puts one key in the place of all that sign WITs; `alongside` runs in the same transaction. Gives the sequence number.
   * @throws {BehalfError} `bundle_invalid`
   */
  replaceWitKey(key: MeshBundleDocument['keys'][number], alongside: () => void): number;
  /** @throws {BehalfError} `bundle_invalid` for a `behalf` part that receivers would refuse */
  check(behalf: MeshBundleDocument['behalf']): void;
  /** Returns its own undoing. */
  onChange(listener: () => void): () => void;
}

/** Stores the document of a new authority. */
export function writeFirstDocument(database: DatabaseSync, document: MeshBundleDocument): void {
  database.prepare('INSERT INTO document (id, json) VALUES (1, ?)').run(JSON.stringify(document));
}

/** Loads the stored document and writes the file, which a crash may have left behind. */
export function openMeshDocument(deps: {
  readonly database: DatabaseSync;
  readonly dataDir: string;
  readonly key: StatementKey;
  readonly log: Logger;
}): MeshDocument {
  const { database, dataDir, key, log } = deps;
  const listeners = new Set<() => void>();
  const json = database.prepare('SELECT json FROM document WHERE id = 1').get()?.['json'];
  if (typeof json !== 'string')
    throw new BehalfError('data_directory_unusable', { directory: dataDir, why: 'has no bundle' });
  let current = signed(JSON.parse(json) as MeshBundleDocument, key);
  writeFileAtomically(join(dataDir, BUNDLE_FILE), json, WORLD_READABLE);
  const replace = (change: Partial<MeshBundleDocument>, alongside: () => void): number => {
    const { document } = current.bundle;
    const next = signed({ ...document, ...change, spiffe_sequence: document.spiffe_sequence + 1 }, key);
    const text = JSON.stringify(next.bundle.document);
    // Committed before anyone sees it: a sequence number is never given to two documents. If we stop before the file is
    // written, the next start writes it.
    inTransaction(database, () => {
      database.prepare('UPDATE document SET json = ? WHERE id = 1').run(text);
      alongside();
    });
    current = next;
    writeFileAtomically(join(dataDir, BUNDLE_FILE), text, WORLD_READABLE);
    log.info({ sequence: next.bundle.sequence }, 'bundle published');
    for (const listener of listeners) listener();
    return next.bundle.sequence;
  };
  return {
    bundle: () => current.bundle,
    statement: () => current.statement,
    check: (behalf) => {
      signed({ ...current.bundle.document, behalf }, key);
    },
    publish: (change) => {
      const { document } = current.bundle;
      const behalf = change(document.behalf);
      if (JSON.stringify(behalf) === JSON.stringify(document.behalf)) return current.bundle.sequence;
      return replace({ behalf }, () => undefined);
    },
    replaceWitKey: (witKey, alongside) => {
      const others = current.bundle.document.keys.filter(({ use }) => use !== 'wit-svid');
      return replace({ keys: [...others, witKey] }, alongside);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

function signed(document: MeshBundleDocument, key: StatementKey): { bundle: MeshBundle; statement: SignedStatement } {
  const bundle = parseMeshBundle(document);
  const payload = Buffer.from(JSON.stringify(document), 'utf8');
  if (payload.length > MAX_BUNDLE_BYTES) throw new BehalfError('bundle_invalid', { at: 'bundle', why: 'too large' });
  return { bundle, statement: signStatement('mesh-bundle', payload, key) };
}
