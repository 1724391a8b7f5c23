/** `behalf collector`: runs this part as a process. */
import { COLLECTOR_SCHEMA, type CollectorConfig } from '../../../collector/config.ts';
import { partCommand } from '../../run/part-command.ts';

export const command = partCommand<CollectorConfig>({
  part: 'collector',
  summary: 'Run the collector: the record and its log, the policy snapshot and live state for every sidecar.',
  schema: COLLECTOR_SCHEMA,
  load: async () => (await import('../../../collector/start.ts')).startCollector,
});
