/** `behalf log proof`: fetches the inclusion proof of a hop's records and checks it here. */
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { joinHops } from '../../hops/hop-view.ts';
import { type Proof, proveInclusion } from '../../hops/prove-inclusion.ts';
import { connectQuery, listHops } from '../../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

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
      const { logKeys } = await operator.bundle();
      const proofs: (Omit<Proof, 'entry'> & { readonly reporter: string })[] = [];
      for (const { index, reporter } of view.sides) {
        const { entry: _, ...proof } = await proveInclusion(query, index, logKeys);
        proofs.push({ ...proof, reporter });
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
