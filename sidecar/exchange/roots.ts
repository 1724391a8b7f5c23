/**
 * Roots for user requests and for the workload's own calls, obtained from the authority and reused by the rules of WIRE
 * section 1: for the same credential and the same scope asked, for a short time, and never once anything in it was revoked.
 */
import { hash } from 'node:crypto';
import {
  type Revocation,
  type RevocationSource,
  type RootContext,
  revocationHits,
  type VerifiedRoot,
  verifyRoot,
} from '../../delegation/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { RootSource } from '../call/environment.ts';
import type { ExchangeOrder, ExchangeStream } from './exchange-stream.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
/** Roots kept; the oldest goes first. */
const MAX_ROOTS = 16_384;
/** A root is handed out only while this much of its life is left, as it has to be signed on. */
const LEFT_S = 5;

export interface Roots extends RootSource {
  revoke(revocation: Revocation, source: RevocationSource): void;
  /** Forgets everything, as after a change of the keys that they were verified with. */
  clear(): void;
  /** Forgets what has ended. */
  evictExpired(nowS: number): void;
}

export interface RootsOptions {
  readonly exchange: ExchangeStream;
  readonly identity: OwnIdentity;
  readonly nowS: () => number;
  /** Longest reuse in seconds; 0 for none. */
  readonly reuseS: () => number;
  /** Keys and live state to judge what the authority sent. */
  readonly context: () => RootContext;
}

interface Kept {
  readonly root: VerifiedRoot;
  readonly sinceS: number;
}

export function createRoots({ exchange, identity, nowS, reuseS, context }: RootsOptions): Roots {
  const kept = new Map<string, Kept>();
  /** One exchange a key at a time: who asks meanwhile gets its root. */
  const asking = new Map<string, Promise<VerifiedRoot>>();

  function obtain(key: string, make: () => Promise<VerifiedRoot>): Promise<VerifiedRoot> | VerifiedRoot {
    const before = kept.get(key);
    if (before !== undefined) {
      if (mayReuse(before)) return before.root;
      kept.delete(key);
    }
    const running = asking.get(key);
    if (running !== undefined && reuseS() > 0) return running;
    const asked = make()
      .then((root) => {
        keep(key, root);
        return root;
      })
      .finally(() => asking.delete(key));
    asking.set(key, asked);
    return asked;
  }

  async function mint(order: ExchangeOrder): Promise<VerifiedRoot> {
    return verifyRoot(await exchange.exchange(order), context());
  }

  /** The WIT stands for the credential; one that was replaced while it was under way is worth a second try. */
  async function mintOwn(to: SpiffeId, scopes: readonly string[]): Promise<VerifiedRoot> {
    const { wit } = identity.current();
    const order = { subjectTokenType: JWT, scope: scopes.join(' '), ownTo: to };
    try {
      return await mint({ ...order, subjectToken: wit });
    } catch (thrown) {
      const { wit: now } = identity.current();
      if (now === wit) throw thrown;
      return mint({ ...order, subjectToken: now });
    }
  }

  function mayReuse({ root, sinceS }: Kept): boolean {
    const now = nowS();
    if (!(now - sinceS < reuseS() && root.expS - now > LEFT_S)) return false;
    // One that was under way while its revocation came was kept after it: it must not stand in the way of a clean one.
    return context().revoked(root.revocable) === null;
  }

  function keep(key: string, root: VerifiedRoot): void {
    if (reuseS() <= 0) return;
    if (kept.size >= MAX_ROOTS) kept.delete(kept.keys().next().value as string);
    kept.set(key, { root, sinceS: nowS() });
  }

  return {
    forToken(token, scopes, fresh) {
      const order: ExchangeOrder = { subjectToken: token, subjectTokenType: ACCESS_TOKEN, scope: scopes.join(' ') };
      if (fresh) return mint(order);
      // The token itself is not kept: its hash names it.
      return obtain(`token ${hash('sha256', token, 'base64url')} ${[...scopes].sort().join(' ')}`, () => mint(order));
    },
    forOwn(to: SpiffeId, scopes, fresh) {
      if (fresh) return mintOwn(to, scopes);
      const { witS256 } = identity.current();
      return obtain(`own ${witS256} ${to} ${[...scopes].sort().join(' ')}`, () => mintOwn(to, scopes));
    },
    revoke(revocation, source) {
      for (const [key, { root }] of kept) if (revocationHits(revocation, source, root.revocable)) kept.delete(key);
    },
    clear: () => kept.clear(),
    evictExpired(nowS) {
      for (const [key, { root }] of kept) if (root.expS <= nowS) kept.delete(key);
    },
  };
}
