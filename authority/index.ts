/** The authorization server: consent, tokens, and their exchange into delegations. */
export { AUTHORITY_SCHEMA, type AuthorityConfig } from './config.ts';
export { firstBrokenVersion, type HashedChange, hashOfChange } from './consent/history.ts';
export { hashPassword } from './sign-in/accounts.ts';
export { type AuthorityReady, startAuthority } from './start.ts';
