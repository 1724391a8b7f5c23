/**
 * Whose address a request comes from, where proxies stand before us: which addresses are our own proxies', and what
 * `X-Forwarded-For` is worth. It is anyone's to write: it is read from its end, for as long as whoever wrote that part is one of
 * our own proxies.
 */
import { BlockList, isIP } from 'node:net';
import { BehalfError } from '../errors/index.ts';

/** Parts of `X-Forwarded-For` that are read; more proxies than that stand in no row. */
const MAX_PROXIES = 16;
const MAX_PARTS_LENGTH = 2_048;

export interface TrustedProxies {
  /** Whether the other end of a connection is one of our own proxies. */
  has(address: string): boolean;
  /** The client's address; of the nearest one that we cannot see behind, where proxies hide it. Empty where none is known. */
  clientOf(remoteAddress: string, forwardedFor: string): string;
}

/**
 * Reads a configuration: addresses and networks (`10.0.0.0/8`, `fd00::/8`). None: no header counts for anything.
 * @throws {BehalfError} `config_invalid`
 */
export function createTrustedProxies(configured: readonly string[]): TrustedProxies {
  const trusted = new BlockList();
  for (const proxy of configured) addNetwork(trusted, proxy);
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  return {
    has(address) {
      const known = canonical(address);
      return known !== null && isTrusted(known);
    },
    clientOf(remoteAddress, forwardedFor) {
      let address = canonical(remoteAddress) ?? '';
      const parts = forwardedFor.slice(-MAX_PARTS_LENGTH).split(',').slice(-MAX_PROXIES);
      for (let read = 0; read < MAX_PROXIES && address !== '' && isTrusted(address); read++) {
        const before = canonical(parts.pop()?.trim() ?? '');
        // A part that is no address was not written by a proxy that we know: the one who handed it on answers for it.
        if (before === null) break;
        address = before;
      }
      return address;
    },
  };
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
