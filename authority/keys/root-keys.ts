/**
 * The keys that sign roots, one after the other, as a list and the steps that change it. Pure; `keys.ts` keeps the list. A key
 * is made, published, and used only when every sidecar that still serves has it (WIRE.md section 3, on unknown keys); when
 * the next one is in use its private half is destroyed, while its public half stays published for those who judge the record.
 */
import { createPublicKey, generateKeyPairSync, type webcrypto } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';

type JsonWebKey = webcrypto.JsonWebKey;

/** As it stands in the keys file. Times in seconds. */
export interface StoredRootKey {
  /** Private; public only once it is retired. */
  readonly jwk: JsonWebKey;
  /** From when on it signs; null until it is published. */
  readonly useFromS: number | null;
  readonly retiredS: number | null;
}

export interface RotationTimes {
  /** How long a key signs. */
  readonly lifeS: number;
  /** How long a key is published before it signs. */
  readonly leadS: number;
  /** How long a retired key stays published. */
  readonly keepS: number;
}

/** The longest staleness that a snapshot may set: past it no sidecar serves that has not heard of the key. */
export const ROOT_KEY_LEAD_S = 3_600;
export const DEFAULT_ROOT_KEY_LIFE_S = 30 * 24 * 3_600;
/** Its private half is gone, so that it only proves what was signed before. */
export const RETIRED_KEY_KEPT_S = 400 * 24 * 3_600;
/** The bundle takes 64 keys; the oldest retired ones go first. */
const MAX_KEYS = 32;

export type RootKeyChange = 'made' | 'retired' | 'forgotten';

export interface Rotated {
  readonly keys: readonly StoredRootKey[];
  /** What was done, and to which key. */
  readonly changes: readonly { readonly key: StoredRootKey; readonly change: RootKeyChange }[];
}

export function makeRootKey(useFromS: number | null): StoredRootKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { jwk: privateKey.export({ format: 'jwk' }), useFromS, retiredS: null };
}

/**
 * The key that signs now: of those that are published the one that is in use since the shortest time. Should our clock have
 * gone back to before any of them, the first that comes: older ones cannot sign any more.
 * @throws {BehalfError} `key_unusable`
 */
export function rootKeyInUse(keys: readonly StoredRootKey[], nowS: number): StoredRootKey {
  let found: StoredRootKey | null = null;
  for (const key of keys) {
    if (key.retiredS !== null || key.useFromS === null) continue;
    const begun = key.useFromS <= nowS;
    const foundBegun = found?.useFromS != null && found.useFromS <= nowS;
    if (found?.useFromS == null || (begun && (!foundBegun || key.useFromS >= found.useFromS))) found = key;
    else if (!begun && !foundBegun && key.useFromS < found.useFromS) found = key;
  }
  if (found === null) throw new BehalfError('key_unusable', { why: 'no root key can sign' });
  return found;
}

/** Does what is due: retires those that another one followed, forgets those kept long enough, makes the next one in time. */
export function rotateRootKeys(keys: readonly StoredRootKey[], nowS: number, times: RotationTimes): Rotated {
  const current = rootKeyInUse(keys, nowS);
  const currentFromS = current.useFromS ?? 0;
  const changes: { key: StoredRootKey; change: RootKeyChange }[] = [];
  const isFollowed = (key: StoredRootKey): boolean =>
    key.retiredS === null && key.useFromS !== null && key.useFromS < currentFromS;
  const kept = keys.flatMap((key) => {
    if (isFollowed(key)) {
      const retired = { ...key, jwk: publicHalf(key.jwk), retiredS: nowS };
      changes.push({ key: retired, change: 'retired' });
      return [retired];
    }
    if (key.retiredS !== null && key.retiredS + times.keepS <= nowS) {
      changes.push({ key, change: 'forgotten' });
      return [];
    }
    return [key];
  });
  const hasNext = kept.some(({ useFromS }) => useFromS === null || useFromS > nowS);
  if (!hasNext && currentFromS + times.lifeS - times.leadS <= nowS) {
    const next = makeRootKey(null);
    changes.push({ key: next, change: 'made' });
    kept.push(next);
  }
  while (kept.length > MAX_KEYS) {
    const oldest = kept.findIndex(({ retiredS }) => retiredS !== null);
    if (oldest < 0) break;
    for (const key of kept.splice(oldest, 1)) changes.push({ key, change: 'forgotten' });
  }
  return { keys: kept, changes };
}

/**
 * The keys without one that was revoked. Where it was the one in use a new one takes its place at once, without a lead: what is
 * not known everywhere is refused somewhere, what is in wrong hands is worse. One on its way to use goes with it, since who
 * took the one may have taken the other; the next step makes it anew.
 */
export function withoutRootKey(
  keys: readonly StoredRootKey[],
  isRevoked: (key: StoredRootKey) => boolean,
  nowS: number,
): { readonly keys: readonly StoredRootKey[]; readonly next: StoredRootKey | null } {
  const wasInUse = isRevoked(rootKeyInUse(keys, nowS));
  const kept = keys.filter((key) => !isRevoked(key) && !(wasInUse && key.retiredS === null));
  const next = wasInUse ? makeRootKey(Math.floor(nowS)) : null;
  return { keys: next === null ? kept : [...kept, next], next };
}

/** The same keys once all of them are published: those that wait for it may sign after the lead. */
export function publishedRootKeys(
  keys: readonly StoredRootKey[],
  nowS: number,
  leadS: number,
): readonly StoredRootKey[] {
  return keys.map((key) => (key.useFromS === null ? { ...key, useFromS: Math.ceil(nowS) + leadS } : key));
}

function publicHalf(jwk: JsonWebKey): JsonWebKey {
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'jwk' });
}
