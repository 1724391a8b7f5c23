/** A process's own identity. Loads pkijs and grpc-js. */
export { type BackOff, type BackOffOptions, createBackOff, waitFor } from './back-off.ts';
export type {
  AttestConfig,
  IdentityConfig,
  TrustConfig,
} from './config.ts';
export { openDataDirectory } from './identity-store.ts';
export { assembleIdentity, type Issuance } from './issued-identity.ts';
export { type OpenIdentityOptions, openIdentity, renewalTime } from './open-identity.ts';
export type { IssuedIdentity, OwnIdentity } from './own-identity.ts';
export { type FreshKeys, makeKeys } from './request-issuance.ts';
export { writeFileAtomically } from './write-file.ts';
