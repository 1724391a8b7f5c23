/** That one record is in the log: the proof is fetched, and checked here against the signed checkpoint. */
import { leafHash, openCheckpoint, parseVkey, verifyInclusion } from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { QueryClient } from './query.ts';

export interface Proof {
  readonly index: number;
  readonly treeSize: number;
  readonly leaf: string;
  readonly path: readonly string[];
  readonly holds: boolean;
  readonly checkpoint: string;
  /** The entry that the leaf hash is made of, as the log has it. */
  readonly entry: Buffer;
}

/**
 * Proves that the record of that index is in the log that the mesh bundle names.
 * @throws {BehalfError} `log_inconsistent` for a checkpoint of another log or with a wrong signature
 */
export async function proveInclusion(query: QueryClient, index: number, logKeys: readonly string[]): Promise<Proof> {
  const { checkpoint: note, entry, path } = await query.getInclusionProof({ index, treeSize: 0 });
  const verifier = logKeys.map(parseVkey).find(({ name }) => note.startsWith(`${name}\n`));
  if (verifier === undefined)
    throw new BehalfError('log_inconsistent', { why: 'the checkpoint is of no log that the mesh bundle names' });
  const { size, root } = openCheckpoint(note, verifier);
  // The leaf is what we hash ourselves of the entry, not what the log says.
  const leaf = leafHash(entry);
  return {
    index,
    treeSize: size,
    leaf: leaf.toString('hex'),
    path: path.map((hash) => hash.toString('hex')),
    holds: verifyInclusion(leaf, index, size, path, root),
    checkpoint: note,
    entry,
  };
}
