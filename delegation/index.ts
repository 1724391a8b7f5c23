/** The delegation chain (WIRE.md): mint, narrow, verify, revoke. Pure: no I/O, no clock and no randomness but what is passed in. */
export {
  type ChainCache,
  createChainCache,
  DEFAULT_MAX_CHAINS,
  DEFAULT_MAX_CHAINS_PER_PEER,
} from './chain/chain-cache.ts';
export type { ChainPeer, RootContext, VerifyContext } from './context.ts';
export * from './limits.ts';
export type { LinkClaims, ParsedLink } from './link/link-claims.ts';
export { type DetailRule, type DetailRules, NO_DETAIL_RULES } from './narrowing/details.ts';
export { formatScope, intersectScopes, isScopeSubset, parseScope } from './narrowing/scope.ts';
export { createOnceStore, type OnceStore, type OnceUse } from './once/once-store.ts';
export * from './revocation/index.ts';
export type {
  AuthorizationDetail,
  DeferredOrigin,
  ParsedRoot,
  RootClaims,
  RootContextClaims,
} from './root/root-claims.ts';
export type { Delegation, ParentFacts, VerifiedChain, VerifiedRoot } from './verified.ts';
