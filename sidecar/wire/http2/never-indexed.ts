/** Fields that HPACK must never put into a table (RFC 7541 section 7.1.3): all that carry delegations (WIRE section 2). */
import http2 from 'node:http2';

const NEVER_INDEXED: readonly string[] = [
  'txn-token',
  'delegation-chain',
  'delegation-credentials',
  'delegation-hop',
  'delegation-slot',
  'delegation-error',
  'delegation-context',
  'authorization',
];

/** Marks the list, in the way that Node's `http2` reads from lists of names and values. */
export function neverIndexed(list: string[]): string[] {
  return Object.assign(list, { [http2.sensitiveHeaders]: NEVER_INDEXED });
}
