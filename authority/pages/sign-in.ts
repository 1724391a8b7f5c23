/** Trying a password: limits, check, and the session cookie; the same for both forms that ask for one. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { countedAddress } from '../http/client-address.ts';
import { readCookie, setCookie } from '../http/cookies.ts';
import type { AccountId } from '../sign-in/accounts.ts';
import { BROWSER_SESSION_S } from '../sign-in/browser-sessions.ts';
import type { PageDeps } from './page-deps.ts';

export const SESSION_COOKIE = 'behalf_session';
/** Longest name that is looked up, so that the table of failures holds no long ones. */
const MAX_NAME_CHARACTERS = 128;

/**
 * Signs in by the fields `account` and `password`, or gives null where they do not fit.
 * @throws {BehalfError} `rate_limited`, `overloaded`
 */
export async function signIn(
  { accounts, limits, sessions, secure, addressOf }: PageDeps,
  request: IncomingMessage,
  response: ServerResponse,
  fields: URLSearchParams,
): Promise<AccountId | null> {
  const name = (fields.get('account') ?? '').slice(0, MAX_NAME_CHARACTERS);
  const address = countedAddress(addressOf(request));
  limits.check(name, address);
  // Counted before the check, which takes time, so that many tries at once count as many.
  limits.failed(name, address);
  const account = await accounts.verifyPassword(name, fields.get('password') ?? '');
  if (account === null) return null;
  limits.succeeded(name, address);
  const before = readCookie(request, SESSION_COOKIE, secure);
  if (before !== null) sessions.end(before);
  setCookie(response, SESSION_COOKIE, sessions.start(account), secure, BROWSER_SESSION_S);
  return account;
}
