/**
 * Attestation of processes of this machine by what the kernel says about the other end of a Unix socket: uid, gid, and the
 * digest of the program that it runs. The owner of the authority's directory is an operator; others need an entry.
 *
 * Trusted for: telling users of this machine apart. Whoever is root here, or has that uid, gets that identity. The digest tells
 * programs of one user apart as long as none of them lies: a process may connect, leave the connection to another and only then
 * run the program that is wanted. So it never stands alone in an entry.
 */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, type TrustDomain } from '../../identity/index.ts';
import type { UnixPeer } from '../../identity/socket-facts.ts';
import { type Entry, matchEntry } from '../entries/entries.ts';
import type { Attestation } from './attestation.ts';

export interface UnixPeerContext {
  readonly trustDomain: TrustDomain;
  /** Owner of the authority's data directory. */
  readonly ownerUid: number;
  readonly entries: readonly Entry[];
}

const USER_NAME = /^[a-zA-Z0-9._-]{1,64}$/;
const DIGEST_SELECTOR = 'unix:sha256:';
/** Of a larger program only so much is hashed, and so it fits no entry that names its digest. */
const MAX_PROGRAM_BYTES = 512 * 1024 * 1024;

/** The uid that owns a directory. */
export function ownerOf(directory: string): number {
  return statSync(directory).uid;
}

/**
 * Gives the identity of a peer. `peer` is null where the call did not come over the Unix socket or the kernel told nothing.
 * @throws {BehalfError} `attestation_failed`, `entry_not_found`
 */
export async function attestUnixPeer(peer: UnixPeer | null, context: UnixPeerContext): Promise<Attestation> {
  if (peer === null)
    throw new BehalfError('attestation_failed', { attestor: 'unix_peer', why: 'no credentials of a Unix socket' });
  const selectors = [`unix:uid:${peer.uid}`, `unix:gid:${peer.gid}`];
  const name = await userName(peer.uid);
  if (name !== null) selectors.push(`unix:user:${name}`);
  if (peer.uid === context.ownerUid) {
    const path = `/behalf/operator/${name ?? `uid-${peer.uid}`}`;
    const spiffeId = parseSpiffeId(`spiffe://${context.trustDomain}${path}`);
    return { attestor: 'unix_peer', spiffeId, selectors, entryId: null, ttlS: 0 };
  }
  // Reading a program costs; it is read only where it may decide, and one that cannot be read fits no entry that wants it.
  if (context.entries.some((entry) => wantsDigestOnly(entry, selectors))) {
    const digest = await programDigest(peer);
    if (digest !== null) selectors.push(`${DIGEST_SELECTOR}${digest}`);
  }
  const { spiffeId, id, ttlS } = matchEntry(context.entries, selectors);
  return { attestor: 'unix_peer', spiffeId, selectors, entryId: id, ttlS };
}

/** Whether all that an entry wants beside a digest holds. */
function wantsDigestOnly(entry: Entry, selectors: readonly string[]): boolean {
  const missing = entry.selectors.filter((selector) => !selectors.includes(selector));
  return missing.length > 0 && missing.every((selector) => selector.startsWith(DIGEST_SELECTOR));
}

/**
 * SHA-256 of the program of the peer's process; null where it cannot be known. The process may have ended and its number be another's by now: the owner is
 * looked at again afterwards, which narrows that to processes of the same user.
 */
async function programDigest(peer: UnixPeer): Promise<string | null> {
  try {
    const hash = createHash('sha256');
    await pipeline(createReadStream(`/proc/${peer.pid}/exe`, { end: MAX_PROGRAM_BYTES }), hash);
    return statSync(`/proc/${peer.pid}`).uid === peer.uid ? hash.digest('hex') : null;
  } catch {
    return null;
  }
}

/** From `/etc/passwd`; null where it has no such uid or a name that does not fit into a SPIFFE ID. */
async function userName(uid: number): Promise<string | null> {
  const table = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const line of table.split('\n')) {
    const [name = '', , id] = line.split(':');
    if (id === String(uid) && USER_NAME.test(name) && name !== '.' && name !== '..') return name;
  }
  return null;
}
