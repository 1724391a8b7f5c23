/** The key that signs WITs: one at a time, replaced at once when it was lost. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { MeshDocument } from '../bundle/mesh-document.ts';
import type { Trail } from '../service/trail.ts';
import { readKey, replaceKey } from '../store/key-store.ts';
import type { Vault } from '../store/vault.ts';
import { namedJwk } from './key-name.ts';

export interface WitKey {
  /** What signs now. */
  current(): { readonly key: KeyObject; readonly kid: string };
  /**
   * Makes another key and takes this one out of the bundle, without overlap: what a thief signs with it is good for nothing from
   * now on, and neither is what it signed before, so that every workload obtains another WIT as soon as it has the new bundle. Gives
   * the new name.
   */
  replace(): Promise<string>;
}

export function openWitKey(deps: {
  readonly database: DatabaseSync;
  readonly vault: Vault;
  readonly document: MeshDocument;
  readonly trail: () => Trail;
  readonly log: Logger;
}): WitKey {
  const { database, vault, document, trail, log } = deps;
  const named = (key: KeyObject): { key: KeyObject; kid: string } => ({ key, kid: namedJwk(key).kid });
  let current = named(readKey(database, vault, 'wit'));
  return {
    current: () => current,
    async replace() {
      const before = current;
      const next = named(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
      // On record before it can be used. Key and bundle change together: if we stop before, the old one stands with both.
      await trail().record({ body: 'key', key: { use: 'wit', kid: next.kid, change: 'published' } });
      await trail().record({ body: 'key', key: { use: 'wit', kid: before.kid, change: 'withdrawn' } });
      const jwk = { ...namedJwk(next.key), use: 'wit-svid' as const };
      // Told to followers only once we sign with it ourselves: they ask for WITs at once.
      document.replaceWitKey(jwk, () => {
        replaceKey(database, vault, 'wit', next.key);
        current = next;
      });
      log.warn({ kid: next.kid, before: before.kid }, 'the key that signs WITs was replaced');
      return next.kid;
    },
  };
}
