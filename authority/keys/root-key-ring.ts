/** The root keys of a running authority: `root-keys.ts` says what is due, this keeps the result and opens what signs. */
import type { Clock, NamedJwk } from '../../identity/index.ts';
import {
  publishedRootKeys,
  RETIRED_KEY_KEPT_S,
  ROOT_KEY_LEAD_S,
  type RootKeyChange,
  rootKeyInUse,
  rotateRootKeys,
  type StoredRootKey,
  withoutRootKey,
} from './root-keys.ts';
import { publicJwkOf, type SigningKey, signingKey } from './signing-key.ts';

export interface RootKeyRing {
  /** ES256: Transaction Tokens. The one that signs now: it changes, so it is asked for at each use. */
  readonly root: SigningKey;
  /** All root keys that are to be published: the one on its way, the one in use and past ones. */
  readonly rootJwks: readonly NamedJwk[];
  /** Whether `rootJwks` changed since they were last published. */
  readonly isUnpublished: boolean;
  /** Says that these are published, as they were given by `rootJwks`. On disk when it returns. */
  published(jwks: readonly NamedJwk[]): void;
  /** Retires, forgets and makes root keys where that is due. On disk when it returns. */
  rotate(): readonly { readonly kid: string; readonly change: RootKeyChange }[];
  /** Forgets a root key that was revoked and is not the one in use; another name changes nothing. */
  dropRoot(kid: string): void;
  /**
   * Makes a new root key for the one in use, which was revoked, and keeps it. `use` signs with it from then on; call it once
   * the mesh knows the key. If we stop between, the next start publishes the new key before it serves, and uses it.
   */
  replaceRoot(): { readonly next: SigningKey; use(): void };
}

export interface RootKeyRingDeps {
  readonly lifeS: number;
  readonly clock: Clock;
  /** Puts the list on disk. If we stop before it did, the change was not made, and is due again at the next start. */
  readonly keep: (keys: readonly StoredRootKey[]) => void;
}

/** Opens the keys of the file. */
export function openRootKeyRing(
  stored: readonly StoredRootKey[],
  { lifeS, clock, keep }: RootKeyRingDeps,
): RootKeyRing {
  let keys = stored;
  // What an earlier run published, we do not know: a start publishes all.
  let isUnpublished = true;
  /** The key that signs until its replacement is published; null where the list alone says it. */
  let untilReplaced: SigningKey | null = null;
  let opened: { readonly stored: StoredRootKey; readonly key: SigningKey } | null = null;

  const change = (next: readonly StoredRootKey[]): void => {
    keep(next);
    keys = next;
  };
  const open = (key: StoredRootKey): SigningKey => {
    if (opened?.stored.jwk.d !== key.jwk.d || opened === null)
      opened = { stored: key, key: signingKey(key.jwk, 'ES256') };
    return opened.key;
  };
  const inUse = (): SigningKey => untilReplaced ?? open(rootKeyInUse(keys, clock()));
  const jwkOf = (key: StoredRootKey): NamedJwk => publicJwkOf(key.jwk, 'ES256');

  return {
    get root() {
      return inUse();
    },
    get rootJwks() {
      return keys.map(jwkOf);
    },
    get isUnpublished() {
      return isUnpublished;
    },
    published: (jwks) => {
      const names = new Set(jwks.map(({ kid }) => kid));
      const known = (key: StoredRootKey): boolean => names.has(jwkOf(key).kid);
      if (keys.some((key) => key.useFromS === null && known(key))) {
        change(keys.flatMap((key) => (known(key) ? publishedRootKeys([key], clock(), ROOT_KEY_LEAD_S) : [key])));
      }
      if (untilReplaced !== null && known(rootKeyInUse(keys, clock()))) untilReplaced = null;
      // One that came between the publication and now is still to be published.
      isUnpublished = keys.length !== names.size || !keys.every(known);
    },
    rotate: () => {
      const { keys: next, changes } = rotateRootKeys(keys, clock(), {
        lifeS,
        leadS: ROOT_KEY_LEAD_S,
        keepS: RETIRED_KEY_KEPT_S,
      });
      if (changes.length === 0) return [];
      change(next);
      isUnpublished = true;
      return changes.map(({ key, change: what }) => ({ kid: jwkOf(key).kid, change: what }));
    },
    dropRoot: (kid) => {
      if (kid === inUse().kid || !keys.some((key) => jwkOf(key).kid === kid)) return;
      change(withoutRootKey(keys, (key) => jwkOf(key).kid === kid, clock()).keys);
      isUnpublished = true;
    },
    replaceRoot: () => {
      const before = inUse();
      const { keys: next, next: made } = withoutRootKey(keys, (key) => jwkOf(key).kid === before.kid, clock());
      const key = made === null ? null : signingKey(made.jwk, 'ES256');
      // Nothing is signed with the revoked key again after the next start, whatever happens from here on.
      change(next);
      isUnpublished = true;
      untilReplaced = before;
      return {
        next: key ?? open(rootKeyInUse(keys, clock())),
        use: () => {
          untilReplaced = null;
        },
      };
    },
  };
}
