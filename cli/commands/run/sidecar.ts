/** `behalf sidecar`: runs this part as a process. */
import type { SidecarConfig } from '../../../sidecar/config.ts';
import { SIDECAR_SCHEMA } from '../../../sidecar/config-schema.ts';
import { partCommand } from '../../run/part-command.ts';

export const command = partCommand<SidecarConfig>({
  part: 'sidecar',
  summary: 'Run a sidecar: mutual TLS, delegations, decisions and the record for one service.',
  schema: SIDECAR_SCHEMA,
  load: async () => (await import('../../../sidecar/start.ts')).startSidecar,
});
