/** `behalf log proof`: fetches the inclusion proof of a hop's records and checks it here. */

import { leafHash, openCheckpoint, parseVkey, verifyInclusion } from '../../audit/merkle/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { defineCommand } from '../command.ts';
import { joinHops } from '../hops/hop-view.ts';
import { connectQuery, listHops } from '../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../mesh/dir-flag.ts';
import { asOperator } from '../mesh/operator.ts';
import { respond } from '../output.ts';

export const command = defineCommand({
  usage: 'log proof <hop>',
  summary:
    'Fetch the proof that each side’s record of a hop is in the log, and check it against the signed checkpoint.',
  flags: { dir: DIR_FLAG },
  positionals: [1, 1],
  async run(values, [hop]) {
    return asOperator(directoryOf(values.dir), async (operator) => {
      const query = connectQuery(operator);
      const [view] = joinHops(await listHops(query, { hopId: Buffer.from(hop!, 'base64url') }));
      if (view === undefined) throw new BehalfError('not_found', { hop: hop!.slice(0, 40) });
      const verifiers = (await operator.bundle()).logKeys.map(parseVkey);
      const proofs: Proof[] = [];
      for (const { index, reporter } of view.sides) {
        const proof = await query.getInclusionProof({ index, treeSize: 0 });
        const verifier = verifiers.find((one) => proof.checkpoint.startsWith(`${one.name}\n`));
        if (verifier === undefined)
          throw new BehalfError('log_inconsistent', { why: 'the checkpoint is of no log that the mesh bundle names' });
        const checkpoint = openCheckpoint(proof.checkpoint, verifier);
        // The leaf is what we hash ourselves of the entry, not what the log says.
        const leaf = leafHash(proof.entry);
        const holds = verifyInclusion(leaf, index, checkpoint.size, proof.path, checkpoint.root);
        proofs.push({
          index,
          reporter,
          treeSize: checkpoint.size,
          leaf: leaf.toString('hex'),
          path: proof.path.map((hash) => hash.toString('hex')),
          holds,
          checkpoint: proof.checkpoint,
        });
      }
      const all = proofs.every(({ holds }) => holds);
      return respond(
        values.json,
        { hop, verified: all, proofs },
        () =>
          proofs.map(
            ({ index, reporter, treeSize, path, holds }) =>
              `${holds ? 'proved' : 'NOT proved'}: record ${index}, by ${reporter}, is in the log of ${treeSize} records (${path.length} hashes)`,
          ),
        all ? 0 : 1,
      );
    });
  },
});

interface Proof {
  readonly index: number;
  readonly reporter: string;
  readonly treeSize: number;
  readonly leaf: string;
  readonly path: readonly string[];
  readonly holds: boolean;
  readonly checkpoint: string;
}
