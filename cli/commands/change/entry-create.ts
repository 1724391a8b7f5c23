/** `behalf entry create`: maps selectors to an identity at the CA. */
import { BehalfError } from '../../../errors/index.ts';
import { parseSpiffeId } from '../../../identity/index.ts';
import { registration } from '../../../proto/behalf/ca/v1/ca.ts';
import { defineCommand } from '../../command.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'entry create <spiffe-id>',
  summary: 'Register a workload: who shows these selectors when it attests becomes this SPIFFE ID.',
  details: 'Selectors, all of which must hold: unix:uid:1000, unix:path:/usr/bin/x, join_token:NAME …',
  flags: {
    selector: { type: 'string', multiple: true, value: 'SELECTOR', description: 'A selector.' },
    ttl: { type: 'string', value: 'SECONDS', description: 'Life of its certificates; the CA’s default without it.' },
    owner: { type: 'string', value: 'NAME', description: 'Who answers for the workload.' },
    reason: { type: 'string', value: 'TEXT', description: 'Why it is there.' },
    dir: DIR_FLAG,
  },
  positionals: [1, 1],
  async run(values, [id]) {
    const spiffeId = parseSpiffeId(id);
    const ttlS = Number(values.ttl ?? 0);
    if (!Number.isSafeInteger(ttlS) || ttlS < 0)
      throw new BehalfError('usage', { command: 'entry create', why: '--ttl is not a number of seconds' });
    if ((values.selector ?? []).length === 0)
      throw new BehalfError('usage', { command: 'entry create', why: 'give at least one --selector' });
    return asOperator(directoryOf(values.dir), async ({ connect, mesh }) => {
      const entry = await connect(registration, mesh.ca).createEntry({
        spiffeId,
        selectors: values.selector!,
        ttlS,
        owner: values.owner ?? '',
        reason: values.reason ?? '',
      });
      return respond(values.json, { entry }, () => [
        `entry ${entry.id}: ${entry.selectors.join(' and ')} becomes ${entry.spiffeId}`,
      ]);
    });
  },
});
