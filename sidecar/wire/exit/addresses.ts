/**
 * Where a name outside the mesh leads: every address that it stands for is looked at before any of them is called, and only
 * those that were looked at are called. A name that stands for this machine, its link or a private network would make the
 * sidecar a way into what lies there (server-side request forgery), and is refused unless the exit says that it is meant.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { BehalfError } from '../../../errors/index.ts';

export interface Resolved {
  readonly address: string;
  readonly family: 4 | 6;
}

/** How names are resolved; the machine's resolver unless a test says otherwise. */
export type Resolve = (host: string) => Promise<readonly Resolved[]>;

/** Most addresses of one name that are looked at; one that has more is refused. */
const MAX_ADDRESSES = 64;

/** Blocks that are no public unicast address: IANA's special-purpose registries (RFC 6890) as far as they are not global. */
const CLOSED_4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
] as const;
/** Of IPv6 only global unicast (2000::/3) is open, less what carries IPv4 addresses or none at all within it. */
const OPEN_6 = blockList(['2000::/3'], 'ipv6');
const CLOSED_WITHIN_6 = blockList(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'], 'ipv6');
const CLOSED = blockList(CLOSED_4, 'ipv4');

/** Whether an address is a public one. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !CLOSED.check(address, 'ipv4');
    case 6:
      return OPEN_6.check(address, 'ipv6') && !CLOSED_WITHIN_6.check(address, 'ipv6');
    default:
      return false;
  }
}

/**
 * The addresses of a host, all of which may be called.
 * @throws {BehalfError} `exit_address_refused` where one of them is not public and the exit allows public ones alone,
 *   `upstream_unavailable` where it has none
 */
export async function addressesOf(
  host: string,
  { privateAddresses, exit }: { readonly privateAddresses: boolean; readonly exit: string },
  resolve: Resolve = resolveByMachine,
): Promise<readonly Resolved[]> {
  const found = await resolved(host, exit, resolve);
  if (found.length === 0 || found.length > MAX_ADDRESSES)
    throw new BehalfError('upstream_unavailable', { to: exit, why: `${found.length} addresses` });
  // UNTRUSTED: whoever answers for the name chooses these. One bad one is enough: which would be called is chance.
  const refused = privateAddresses ? undefined : found.find(({ address }) => !isPublicAddress(address));
  if (refused !== undefined)
    throw new BehalfError('exit_address_refused', { exit, address: refused.address, why: 'not a public address' });
  return found;
}

async function resolved(host: string, exit: string, resolve: Resolve): Promise<readonly Resolved[]> {
  const family = isIP(host);
  if (family === 4 || family === 6) return [{ address: host, family }];
  try {
    return await resolve(host);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'not resolved';
    throw new BehalfError('upstream_unavailable', { to: exit, why }, { cause });
  }
}

async function resolveByMachine(host: string): Promise<readonly Resolved[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
}

function blockList(blocks: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [net = '', bits = ''] = block.split('/');
    list.addSubnet(net, Number(bits), family);
  }
  return list;
}
