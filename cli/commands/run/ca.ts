/** `behalf ca`: runs this part as a process. */
import { CA_SCHEMA, type CaConfig } from '../../../ca/config.ts';
import { partCommand } from '../../run/part-command.ts';

export const command = partCommand<CaConfig>({
  part: 'ca',
  summary: 'Run the certificate authority: attest workloads, issue their identities, stream the mesh’s keys.',
  schema: CA_SCHEMA,
  load: async () => (await import('../../../ca/start.ts')).startCa,
});
