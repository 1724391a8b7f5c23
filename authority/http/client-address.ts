/**
 * Whose address a request comes from, where proxies stand before us. `X-Forwarded-For` is anyone's to write: it is read from
 * its end, for as long as whoever wrote that part is one of our own proxies.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { BehalfError } from '../../errors/index.ts';

/** Gives the address of a request's client; of the nearest one that we cannot see behind, where proxies hide it. */
export type AddressOf = (request: IncomingMessage) => string;

/** Parts of `X-Forwarded-For` that are read; more proxies than that stand in no row. */
const MAX_PROXIES = 16;
/** What one customer of a network has of IPv6 at least: addresses within are one person's to change at will. */
const IPV6_CUSTOMER_BITS = 64;
const HEXTET_BITS = 16;

/**
 * Makes the reader. `trustedProxies`: addresses and networks (`10.0.0.0/8`, `fd00::/8`); none by default, so that the header
 * counts for nothing.
 * @throws {BehalfError} `config_invalid`
 */
export function createAddressOf(trustedProxies: readonly string[]): AddressOf {
  const trusted = new BlockList();
  for (const proxy of trustedProxies) addNetwork(trusted, proxy);
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  return (request) => {
    let address = canonical(request.socket.remoteAddress ?? '') ?? '';
    const forwarded = forwardedFor(request);
    for (let read = 0; read < MAX_PROXIES && address !== '' && isTrusted(address); read++) {
      const before = canonical(forwarded.pop()?.trim() ?? '');
      // A part that is no address was not written by a proxy that we know: the one who handed it on answers for it.
      if (before === null) break;
      address = before;
    }
    return address;
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

function forwardedFor({ headers }: IncomingMessage): string[] {
  const value = headers['x-forwarded-for'];
  return value === undefined ? [] : (Array.isArray(value) ? value.join(',') : value).split(',').slice(-MAX_PROXIES);
}

/** One form of each address: no zone, IPv4 as itself, IPv6 as RFC 5952 writes it. Null for what is none; a port is cut off. */
function canonical(text: string): string | null {
  const bare =
    /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(text)?.[1] ?? text;
  const [address = ''] = bare.split('%', 1);
  switch (isIP(address)) {
    case 4:
      return address;
    case 6: {
      const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
      const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain);
      return mapped === null ? plain : ipv4Of(Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16));
    }
    default:
      return null;
  }
}

function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

function addNetwork(list: BlockList, text: string): void {
  const [address = '', bits, more] = text.split('/');
  const family = isIP(address);
  const longest = family === 6 ? 128 : 32;
  const prefix = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (family === 0 || more !== undefined || !(prefix >= 0 && prefix <= longest)) {
    throw new BehalfError('config_invalid', { trustedProxy: text.slice(0, 80), why: 'no address or network' });
  }
  list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
}
