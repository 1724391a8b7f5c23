export { DEFAULT_ROOT_LIFE_S, defaultAudience, mintRoot } from './mint-root.ts';
export { isUser, parseRoot } from './parse-root.ts';
export type {
  AuthorizationDetail,
  DeferredOrigin,
  ParsedRoot,
  RootClaims,
  RootContextClaims,
} from './root-claims.ts';
export { verifyRoot } from './verify-root.ts';
