/** `behalf entry list`. */
import { registration } from '../../../proto/behalf/ca/v1/ca.ts';
import { defineCommand } from '../../command.ts';
import { printable } from '../../draw/style.ts';
import { lifetime } from '../../draw/words.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { columns, respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'entry list',
  summary: 'List the workloads that are registered with the CA.',
  flags: { dir: DIR_FLAG },
  positionals: [0, 0],
  run: (values) =>
    asOperator(directoryOf(values.dir), async ({ connect, mesh }) => {
      const { entries } = await connect(registration, mesh.ca).listEntries({});
      return respond(values.json, { entries }, () =>
        entries.length === 0
          ? ['no workload is registered by selectors']
          : columns([
              ['ENTRY', 'SPIFFE ID', 'LIFE', 'SELECTORS', 'OWNER'],
              ...entries.map(({ id, spiffeId, ttlS, selectors, owner }) => [
                id,
                spiffeId,
                ttlS === 0 ? 'default' : lifetime(ttlS),
                selectors.map(printable).join(' '),
                printable(owner),
              ]),
            ]),
      );
    }),
});
