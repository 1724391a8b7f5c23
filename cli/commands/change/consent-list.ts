/** `behalf consent list`. */
import { consents } from '../../../proto/behalf/authority/v1/authority.ts';
import { defineCommand } from '../../command.ts';
import { printable } from '../../draw/style.ts';
import { instant } from '../../draw/words.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { requireAuthority } from '../../mesh/require-authority.ts';
import { columns, respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'consent list',
  summary: 'List what users have granted to applications.',
  flags: {
    user: { type: 'string', value: 'ACCOUNT', description: 'Consents of this account only.' },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  run: (values) =>
    asOperator(directoryOf(values.dir), async (operator) => {
      const { consents: found } = await operator
        .connect(consents, requireAuthority(operator.mesh))
        .listConsents({ account: values.user ?? '' });
      return respond(values.json, { consents: found }, () =>
        found.length === 0
          ? ['no consent is on record']
          : columns([
              ['CONSENT', 'USER', 'CLIENT', 'STATE', 'UNTIL (UTC)', 'SCOPES'],
              ...found.map(({ id, version, account, clientId, state, untilS, scopes }) => [
                `${id} v${version}`,
                printable(account),
                printable(clientId),
                state,
                instant(untilS * 1_000_000).slice(0, 19),
                scopes.map(printable).join(' '),
              ]),
            ]),
      );
    }),
});
