/**
 * The delegation chain (docs/delegation-chain.md): mint, narrow, verify, revoke. Pure: no I/O, no clock and no randomness but what
 * is passed in. The last lines are what a user of this library alone needs of other parts.
 */

export { BehalfError, type ErrorCode } from '../errors/index.ts';
export { type ClockRule, DEFAULT_CLOCK_RULE } from '../identity/clock.ts';
export { sha256Base64url } from '../identity/jws.ts';
export { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../identity/spiffe-id.ts';
export { mintWit, type VerifiedWit, verifyWit, type WitClaims } from '../identity/wit/index.ts';
export * from './chain/index.ts';
export type { ChainPeer, RootContext, VerifyContext } from './context.ts';
export * from './details/index.ts';
export * from './hop-id/index.ts';
export * from './limits.ts';
export * from './link/index.ts';
export { formatScope, intersectScopes, isScopeSubset, parseScope } from './narrowing/scope.ts';
export { createOnceStore, type OnceStore, type OnceUse } from './once/once-store.ts';
export * from './revocation/index.ts';
export * from './root/index.ts';
export * from './vector/index.ts';
export type { Delegation, ParentFacts, VerifiedChain, VerifiedRoot } from './verified.ts';
