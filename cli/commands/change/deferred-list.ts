/** `behalf deferred list`. */
import { deferrals } from '../../../proto/behalf/authority/v1/authority.ts';
import { defineCommand } from '../../command.ts';
import { printable } from '../../draw/style.ts';
import { instant } from '../../draw/words.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { requireAuthority } from '../../mesh/require-authority.ts';
import { columns, respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'deferred list',
  summary: 'List work that services have put off and may finish later for users.',
  flags: {
    ended: { type: 'boolean', description: 'Also what has ended, the newest 1,000 in all.' },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  run: (values) =>
    asOperator(directoryOf(values.dir), async (operator) => {
      const { deferred } = await operator
        .connect(deferrals, requireAuthority(operator.mesh))
        .listDeferred({ ended: values.ended ?? false });
      return respond(values.json, { deferred }, () =>
        deferred.length === 0
          ? ['no work is put off']
          : columns([
              ['DEFERRED', 'USER', 'BY', 'STATE', 'USES LEFT', 'UNTIL (UTC)', 'SCOPES', 'WORK'],
              ...deferred.map(({ id, account, holder, state, uses, usesLeft, untilS, scopes, purpose }) => [
                id,
                printable(account),
                printable(holder),
                state,
                `${usesLeft} of ${uses}`,
                instant(untilS * 1_000_000).slice(0, 19),
                scopes.map(printable).join(' '),
                printable(purpose),
              ]),
            ]),
      );
    }),
});
