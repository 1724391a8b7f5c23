/** Whose address a request of a browser comes from, and under which address its failures are counted. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { createTrustedProxies } from '../../identity/trusted-proxies.ts';

/** Gives the address of a request's client; of the nearest one that we cannot see behind, where proxies hide it. */
export type AddressOf = (request: IncomingMessage) => string;

/** What one customer of a network has of IPv6 at least: addresses within are one person's to change at will. */
const IPV6_CUSTOMER_BITS = 64;
const HEXTET_BITS = 16;

/**
 * Makes the reader. `trustedProxies`: addresses and networks; none by default, so that `X-Forwarded-For` counts for nothing.
 * @throws {BehalfError} `config_invalid`
 */
export function createAddressOf(trustedProxies: readonly string[]): AddressOf {
  const proxies = createTrustedProxies(trustedProxies);
  return ({ headers, socket }) => {
    const forwarded = headers['x-forwarded-for'] ?? '';
    return proxies.clientOf(socket.remoteAddress ?? '', Array.isArray(forwarded) ? forwarded.join(',') : forwarded);
  };
}

/** The address under which failures are counted: a whole IPv6 /64 is one. */
export function countedAddress(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const hextets = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - hextets.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [
    ...hextets,
    ...Array.from({ length: missing }, () => '0'),
    ...(tail === undefined ? [] : tail.split(':')),
  ];
  return `${all.slice(0, IPV6_CUSTOMER_BITS / HEXTET_BITS).join(':')}::/${IPV6_CUSTOMER_BITS}`;
}
