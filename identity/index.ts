/** What every part knows about workload identity. Light: no X.509 library is loaded by this file (DESIGN section 10). */
export * from './bundle/index.ts';
export { CERTIFICATE_BACKDATE_S, type Clock, type ClockRule, DEFAULT_CLOCK_RULE, systemClock } from './clock.ts';
export * from './jws.ts';
export {
  type SignedStatement,
  type StatementKey,
  type StatementKind,
  signStatement,
  verifyStatement,
} from './signed-statement.ts';
export {
  isReservedPath,
  MAX_SPIFFE_ID_BYTES,
  parseSpiffeId,
  parseTrustDomain,
  partId,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from './spiffe-id.ts';
export * from './wit/index.ts';
