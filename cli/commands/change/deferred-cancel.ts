/** `behalf deferred cancel`: ends work that was put off at once, and what runs on it. */
import { deferrals } from '../../../proto/behalf/authority/v1/authority.ts';
import { defineCommand } from '../../command.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { requireAuthority } from '../../mesh/require-authority.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'deferred cancel <deferred>',
  summary:
    'End work that was put off: it is not taken up again, and calls and streams that run on it end within a second.',
  flags: {
    reason: { type: 'string', value: 'TEXT', description: 'Why; goes on record.' },
    dir: DIR_FLAG,
  },
  positionals: [1, 1],
  run: (values, [id = '']) =>
    asOperator(directoryOf(values.dir), async (operator) => {
      const client = operator.connect(deferrals, requireAuthority(operator.mesh));
      const { deferred, number } = await client.cancelDeferred({
        id,
        reason: values.reason ?? 'cancelled by an operator',
      });
      const state = deferred?.state ?? '';
      return respond(values.json, { cancelled: { id, state, number } }, () => [
        `deferred work ${id} is ${state}; live-state entry ${number}`,
      ]);
    }),
});
