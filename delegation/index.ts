/** The delegation chain (WIRE.md): mint, narrow, verify, revoke. Pure: no I/O, no clock and no randomness but what is passed in. */
export * from './chain/index.ts';
export type { ChainPeer, RootContext, VerifyContext } from './context.ts';
export * from './hop-id/index.ts';
export * from './limits.ts';
export * from './link/index.ts';
export { type DetailRule, type DetailRules, NO_DETAIL_RULES } from './narrowing/details.ts';
export { formatScope, intersectScopes, isScopeSubset, parseScope } from './narrowing/scope.ts';
export { createOnceStore, type OnceStore, type OnceUse } from './once/once-store.ts';
export * from './revocation/index.ts';
export * from './root/index.ts';
export * from './vector/index.ts';
export type { Delegation, ParentFacts, VerifiedChain, VerifiedRoot } from './verified.ts';
