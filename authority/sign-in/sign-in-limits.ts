/**
 * How often a password may be tried: failures counted an account and an address in a sliding window. A right password
 * clears its account, not its address. Kept in memory; both tables are bounded, and the oldest entry makes room.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';

/** Failures in the window after which an account, or an address, has to wait. */
export const MAX_FAILURES_AN_ACCOUNT = 5;
const MAX_FAILURES_AN_ADDRESS = 50;
const FAILURE_WINDOW_S = 300;
const MAX_REMEMBERED = 10_000;

export interface SignInLimits {
  /** @throws {BehalfError} `rate_limited` with `retryAfterS` */
  check(account: string, address: string): void;
  failed(account: string, address: string): void;
  /** Takes back what `failed` counted beforehand, and forgets the account's failures. */
  succeeded(account: string, address: string): void;
}

/** Makes the counters. An unknown account counts like a known one, so that the answer does not tell which exist. */
export function createSignInLimits(clock: Clock): SignInLimits {
  const accounts = new Map<string, number[]>();
  const addresses = new Map<string, number[]>();
  return {
    check: (account, address) => {
      checkOne(accounts, account, MAX_FAILURES_AN_ACCOUNT, clock());
      checkOne(addresses, address, MAX_FAILURES_AN_ADDRESS, clock());
    },
    failed: (account, address) => {
      countOne(accounts, account, MAX_FAILURES_AN_ACCOUNT, clock());
      countOne(addresses, address, MAX_FAILURES_AN_ADDRESS, clock());
    },
    succeeded: (account, address) => {
      accounts.delete(account);
      addresses.get(address)?.pop();
    },
  };
}

function checkOne(table: Map<string, number[]>, key: string, limit: number, nowS: number): void {
  const recent = (table.get(key) ?? []).filter((atS) => atS > nowS - FAILURE_WINDOW_S);
  if (recent.length < limit) return;
  const retryAfterS = Math.ceil((recent[recent.length - limit] ?? nowS) + FAILURE_WINDOW_S - nowS);
  throw new BehalfError('rate_limited', { what: 'sign-in', retryAfterS });
}

function countOne(table: Map<string, number[]>, key: string, limit: number, nowS: number): void {
  const recent = (table.get(key) ?? []).filter((atS) => atS > nowS - FAILURE_WINDOW_S);
  recent.push(nowS);
  table.delete(key);
  table.set(key, recent.slice(-limit));
  const oldest = table.keys().next();
  if (table.size > MAX_REMEMBERED && oldest.done === false) table.delete(oldest.value);
}
