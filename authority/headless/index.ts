/** Driving the authorization code flow without a browser; what the command line and tests use. */
export {
  type MakeProof,
  type ObtainedTokens,
  type ObtainTokens,
  obtainTokens,
  type RefreshTokens,
  refreshTokens,
} from './authorization-code.ts';
export { type Browser, openBrowser, type Page } from './browser.ts';
