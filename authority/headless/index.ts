/** Driving the authorization code flow without a browser; what the command line and tests use. */
export { type ObtainedTokens, obtainTokens, refreshTokens } from './authorization-code.ts';
export { openBrowser } from './browser.ts';
