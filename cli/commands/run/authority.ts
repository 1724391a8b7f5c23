/** `behalf authority`: runs this part as a process. */
import { AUTHORITY_SCHEMA, type AuthorityConfig } from '../../../authority/config.ts';
import { partCommand } from '../../run/part-command.ts';

export const command = partCommand<AuthorityConfig>({
  part: 'authority',
  summary: 'Run the authorization server: OAuth 2.1 with consent, token exchange into delegations, revocation.',
  schema: AUTHORITY_SCHEMA,
  load: async () => (await import('../../../authority/start.ts')).startAuthority,
});
