/** `behalf consent revoke`: ends a consent at once. */
import { BehalfError } from '../../../errors/index.ts';
import type { ServiceClient } from '../../../identity/mtls/index.ts';
import { type Consents, consents } from '../../../proto/behalf/authority/v1/authority.ts';
import { defineCommand } from '../../command.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { requireAuthority } from '../../mesh/require-authority.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'consent revoke [consent]',
  summary: 'Withdraw a consent: calls and running streams that rest on it end at every sidecar within a second.',
  flags: {
    user: { type: 'string', value: 'ACCOUNT', description: 'Withdraw all active consents of this account instead.' },
    reason: { type: 'string', value: 'TEXT', description: 'Why; goes on record.' },
    dir: DIR_FLAG,
  },
  positionals: [0, 1],
  async run(values, [id]) {
    if ((id === undefined) === (values.user === undefined))
      throw new BehalfError('usage', { command: 'consent revoke', why: 'name one consent, or --user' });
    return asOperator(directoryOf(values.dir), async (operator) => {
      const client = operator.connect(consents, requireAuthority(operator.mesh));
      const ids = id === undefined ? await activeOf(client, values.user!) : [id];
      const withdrawn: Withdrawn[] = [];
      for (const one of ids) {
        const { consent, number } = await client.revokeConsent({
          id: one,
          reason: values.reason ?? 'withdrawn by an operator',
        });
        withdrawn.push({ id: one, version: consent?.version ?? null, state: consent?.state ?? null, number });
      }
      return respond(
        values.json,
        { withdrawn },
        () =>
          withdrawn.length === 0
            ? ['there is no active consent']
            : withdrawn.map((one) => `consent ${one.id} is ${one.state}; live-state entry ${one.number}`),
        withdrawn.length === 0 ? 1 : 0,
      );
    });
  },
});

interface Withdrawn {
  readonly id: string;
  readonly version: number | null;
  readonly state: string | null;
  /** Of the live-state entry. */
  readonly number: number;
}

async function activeOf(client: ServiceClient<Consents>, account: string): Promise<string[]> {
  const { consents: found } = await client.listConsents({ account });
  return found.filter(({ state }) => state === 'active').map(({ id }) => id);
}
