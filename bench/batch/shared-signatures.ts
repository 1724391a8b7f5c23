/**
 * Loaded into a sidecar before its own code (`node --import`): replaces what signing and verifying a link costs, so that batch
 * signatures can be measured in real sidecars without being built. INVARIANT: for `bench:batch` alone; with it links prove nothing.
 *
 * - `own`: as it is, each link signed and verified for itself.
 * - `shared`: the links of one event-loop turn share one signature, and a verifier verifies each signature once; a few hashes stand for
 *   the tree and the path. What batch signatures would save.
 * - `free`: neither signed nor verified. More than any scheme of link signatures could ever save.
 *
 * SIGUSR2 goes to the next one of `SEQUENCE`, and adds a line with what was counted in the last one to the file named in the module's URL.
 */
import crypto from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

export const WAYS = ['own', 'shared', 'free'] as const;
export type Way = (typeof WAYS)[number];
/** Two rounds, the second one backwards: what gets warmer or slower meanwhile favours none. */
export const SEQUENCE: readonly Way[] = [...WAYS, ...WAYS.toReversed()];

/** Links that a sidecar signed, in how many turns, and link signatures that it verified with the key. */
export interface Counted {
  readonly way: Way;
  readonly signed: number;
  readonly turns: number;
  readonly verified: number;
}

/** What `signCompactJws` begins a link with. */
const LINK_BEGIN = Buffer.from(`${Buffer.from('{"typ":"dlglink-1+jwt","alg":"ES256"}').toString('base64url')}.`);
const MAX_BATCH = 64;
/** A path's hashes in a batch of 8. */
const PATH_HASHES = 3;
const MAX_REMEMBERED = 4_096;
const NODE = Buffer.alloc(65, 1);
const ANY_SIGNATURE = Buffer.alloc(64, 1);

function install(file: string): void {
  const { sign, verify, hash } = crypto;
  const remembered = new Set<string>();
  let step = 0;
  let way = SEQUENCE[step] as Way;
  let batch: { readonly signature: Buffer; size: number } | null = null;
  let signed = 0;
  let turns = 0;
  let verified = 0;

  function signShared(signature: () => Buffer): Buffer {
    if (batch === null || batch.size === MAX_BATCH) {
      batch = { signature: signature(), size: 0 };
      turns += 1;
      setImmediate(() => {
        batch = null;
      });
    }
    batch.size += 1;
    hash('sha256', NODE, 'buffer');
    return Buffer.from(batch.signature);
  }

  function verifyShared(signature: Buffer, verifyOne: () => boolean): boolean {
    for (let n = 0; n < PATH_HASHES; n++) hash('sha256', NODE, 'buffer');
    const key = signature.toString('latin1');
    if (remembered.has(key)) return true;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.add(key);
    verified += 1;
    verifyOne();
    return true;
  }

  crypto.sign = ((algorithm: string, data: Buffer, key: crypto.KeyLike) => {
    if (!isLink(data)) return sign(algorithm, data, key);
    signed += 1;
    if (way === 'free') return Buffer.from(ANY_SIGNATURE);
    return way === 'shared' ? signShared(() => sign(algorithm, data, key)) : sign(algorithm, data, key);
  }) as typeof crypto.sign;
  crypto.verify = ((algorithm: string, data: Buffer, key: crypto.KeyLike, signature: Buffer) => {
    if (way === 'own' || !isLink(data)) return verify(algorithm, data, key, signature);
    return way === 'free' || verifyShared(signature, () => verify(algorithm, data, key, signature));
  }) as typeof crypto.verify;
  syncBuiltinESMExports();

  process.on('SIGUSR2', () => {
    const counted: Counted = { way, signed, turns, verified };
    appendFileSync(file, `${JSON.stringify(counted)}\n`);
    step = (step + 1) % SEQUENCE.length;
    way = SEQUENCE[step] as Way;
    [signed, turns, verified] = [0, 0, 0];
    remembered.clear();
  });
}

function isLink(data: Buffer): boolean {
  return data.length > LINK_BEGIN.length && data.compare(LINK_BEGIN, 0, LINK_BEGIN.length, 0, LINK_BEGIN.length) === 0;
}

const file = new URL(import.meta.url).searchParams.get('counts');
if (file !== null) install(file);
