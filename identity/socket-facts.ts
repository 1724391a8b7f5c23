/**
 * What the kernel knows about the other end of a local socket and Node does not tell: credentials of a Unix socket's peer
 * (SO_PEERCRED, unix(7)) and the owner of a TCP client on this machine (`/proc/net/tcp`, proc_net(5)). Linux only; elsewhere
 * both are null, and what depends on them refuses.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isIPv4, type Socket } from 'node:net';

/** Credentials as they were when the peer connected. */
export interface UnixPeer {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

type GetSockOpt = (fd: number, level: number, option: number, value: Buffer, length: Uint32Array) => number;

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** `struct ucred`: pid, uid, gid, 32 bits each. */
const UCRED_BYTES = 12;
const NOBODY_YET = 0xffffffff;
/** Columns of `/proc/net/tcp`, counted from the local address. */
const UID_FIELD = 6;
const INODE_FIELD = 8;

let getSockOpt: GetSockOpt | null | undefined;

/** Credentials of the process that connected to our Unix socket; null where they cannot be known. */
export function peerOfUnixSocket(socket: Socket): UnixPeer | null {
  getSockOpt ??= loadGetSockOpt();
  const fd = fileDescriptorOf(socket);
  if (getSockOpt === null || fd === null) return null;
  const value = Buffer.alloc(UCRED_BYTES);
  const length = new Uint32Array([UCRED_BYTES]);
  if (getSockOpt(fd, SOL_SOCKET, SO_PEERCRED, value, length) !== 0 || length[0] !== UCRED_BYTES) return null;
  const peer = { pid: read32(value, 0), uid: read32(value, 4), gid: read32(value, 8) };
  // The kernel answers like this for sockets that have no peer of that kind, such as TCP.
  return peer.pid === 0 || peer.uid === NOBODY_YET ? null : peer;
}

/**
 * The uid that owns the client's end of a TCP connection to us; null if the client is not on this machine, in another
 * network namespace, or already gone. Reads `/proc` synchronously: once a connection, never once a request.
 */
export function ownerOfTcpPeer(socket: Socket): number | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  if (localAddress === undefined || localPort === undefined) return null;
  // The client's own row has our remote end as its local address. A client may hold the same connection as IPv6 (mapped).
  const wanted = { local: endpointOf(remoteAddress, remotePort), remote: endpointOf(localAddress, localPort) };
  if (wanted.local === null || wanted.remote === null) return null;
  return (
    ownerIn('/proc/net/tcp', wanted.local.v4, wanted.remote.v4) ??
    ownerIn('/proc/net/tcp6', wanted.local.v6, wanted.remote.v6)
  );
}

/** Whether credentials of Unix sockets can be known here; said at start by what relies on them. */
export function knowsUnixPeers(): boolean {
  getSockOpt ??= loadGetSockOpt();
  return getSockOpt !== null;
}

interface Endpoint {
  /** As in `/proc/net/tcp`: address in host byte order, colon, port; null for an IPv6 address. */
  readonly v4: string | null;
  readonly v6: string;
}

function ownerIn(file: string, local: string | null, remote: string | null): number | null {
  if (local === null || remote === null) return null;
  let table: string;
  try {
    table = readFileSync(file, 'latin1');
  } catch {
    return null;
  }
  // `sl local_address rem_address st tx:rx tr:tm retrnsmt uid …`; both addresses stand together in one row alone.
  const at = table.indexOf(` ${local} ${remote} `);
  if (at === -1) return null;
  const end = table.indexOf('\n', at);
  const fields = table
    .slice(at + 1, end === -1 ? undefined : end)
    .split(' ')
    .filter((field) => field !== '');
  // A socket that its process has closed goes on without inode and then shows uid 0, which would pass for root.
  if (!(Number(fields[INODE_FIELD]) > 0)) return null;
  const uid = Number(fields[UID_FIELD]);
  return Number.isSafeInteger(uid) ? uid : null;
}

function endpointOf(address: string, port: number): Endpoint | null {
  const portHex = port.toString(16).toUpperCase().padStart(4, '0');
  const plain = address.toLowerCase().startsWith('::ffff:') ? address.slice(7) : address;
  if (isIPv4(plain)) {
    const word = wordOf(Buffer.from(plain.split('.').map(Number)));
    return {
      v4: `${word}:${portHex}`,
      v6: `0000000000000000${wordOf(Buffer.from([0, 0, 255, 255]))}${word}:${portHex}`,
    };
  }
  const bytes = ipv6Bytes(address);
  if (bytes === null) return null;
  const words = [0, 4, 8, 12].map((at) => wordOf(bytes.subarray(at, at + 4)));
  return { v4: null, v6: `${words.join('')}:${portHex}` };
}

/** The kernel prints each 32-bit word of an address as a number of the machine, little-endian on all that we run on. */
function wordOf(fourBytes: Buffer): string {
  return fourBytes.readUInt32LE(0).toString(16).toUpperCase().padStart(8, '0');
}

function ipv6Bytes(address: string): Buffer | null {
  const [head = '', tail] = (address.split('%')[0] as string).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  if (gap < 0) return null;
  const groups = [...left, ...Array<string>(gap).fill('0'), ...right].map((group) => Number.parseInt(group, 16));
  if (groups.length !== 8 || groups.some((group) => !(group >= 0 && group <= 0xffff))) return null;
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function fileDescriptorOf(socket: Socket): number | null {
  // Node keeps the descriptor on the handle, which has no public name.
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : null;
}

function read32(value: Buffer, at: number): number {
  return value.readUInt32LE(at);
}

/** koffi is native and prebuilt; where it does not load, the answer is null for the life of the process. */
function loadGetSockOpt(): GetSockOpt | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return koffi.load(null).func('int getsockopt(int, int, int, void *, void *)') as unknown as GetSockOpt;
  } catch {
    return null;
  }
}
