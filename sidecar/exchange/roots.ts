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
import type { RootOrder, RootSource, ShownAccessToken } from '../call/environment.ts';
import type { ExchangeOrder, ExchangeStream } from './exchange-stream.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const DEFERRED = 'urn:behalf:params:oauth:token-type:deferred';
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
  readonly exchange: Pick<ExchangeStream, 'exchange'>;
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

  /** For `forS` seconds at most the same key gets the same root. */
  function obtain(
    key: string,
    make: () => Promise<VerifiedRoot>,
    forS = reuseS(),
  ): Promise<VerifiedRoot> | VerifiedRoot {
    const before = kept.get(key);
    if (before !== undefined) {
      if (mayReuse(before, forS)) return before.root;
      kept.delete(key);
    }
    const running = asking.get(key);
    if (running !== undefined && forS > 0) return running;
    const asked = make()
      .then((root) => {
        if (forS > 0) keep(key, root);
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

  function forToken(shown: ShownAccessToken, order: RootOrder): Promise<VerifiedRoot> | VerifiedRoot {
    const exchanged = () => mint(orderOf(shown, order));
    // What can be spent is reserved for this one root: it serves one request, whoever else asks the same.
    return order.fresh || (order.details ?? '') !== '' ? exchanged() : obtain(keyOf(shown, order), exchanged);
  }

  /**
   * A use of deferred work is one root, so that it is kept for as long as it lives: it stands for no request that could be mistaken
   * for another. A route that wants a fresh root takes a use of its own.
   */
  function forReference(reference: string, order: RootOrder): Promise<VerifiedRoot> | VerifiedRoot {
    const { scopes, details = '', fresh } = order;
    const exchanged = () =>
      mint({
        subjectToken: reference,
        subjectTokenType: DEFERRED,
        scope: scopes?.join(' ') ?? '',
        narrows: scopes !== null,
        authorizationDetails: details,
      });
    if (fresh) return exchanged();
    const parts = [hash('sha256', reference, 'base64url'), scopes?.toSorted().join(' ') ?? null, details];
    return obtain(`deferred ${JSON.stringify(parts)}`, exchanged, Number.POSITIVE_INFINITY);
  }

  function mayReuse({ root, sinceS }: Kept, forS: number): boolean {
    const now = nowS();
    if (!(now - sinceS < forS && root.expS - now > LEFT_S)) return false;
    // One that was under way while its revocation came was kept after it: it must not stand in the way of a clean one.
    return context().revoked(root.revocable) === null;
  }

  function keep(key: string, root: VerifiedRoot): void {
    if (kept.size >= MAX_ROOTS) kept.delete(kept.keys().next().value as string);
    kept.set(key, { root, sinceS: nowS() });
  }

  return {
    forCredential(shown, order) {
      switch (shown.kind) {
        case 'access_token':
          return forToken(shown, order);
        case 'deferred':
          return forReference(shown.reference, order);
        default:
          return shown satisfies never;
      }
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

function orderOf({ token, proof, certificateS256 }: ShownAccessToken, { scopes, details }: RootOrder): ExchangeOrder {
  return {
    subjectToken: token,
    subjectTokenType: ACCESS_TOKEN,
    scope: scopes?.join(' ') ?? '',
    ...(details === undefined ? {} : { authorizationDetails: details }),
    ...(proof === null ? {} : { dpopProof: proof.compact, dpopMethod: proof.method, dpopUri: proof.uri }),
    ...(certificateS256 === null ? {} : { clientCertificateS256: certificateS256 }),
  };
}

/**
 * INVARIANT: the key names the token *and what it was shown with*. The authority took the token bound as it is; who shows it with
 * another key or certificate, or with none, has another name here and is asked about anew. So the entry need not know what a
 * token is bound to: it checks each proof itself, and a root that is found was minted for that very key.
 */
function keyOf({ token, proof, certificateS256 }: ShownAccessToken, { scopes, details }: RootOrder): string {
  // The token itself is not kept: its hash names it.
  const parts = [
    hash('sha256', token, 'base64url'),
    proof?.thumbprint ?? '',
    certificateS256 ?? '',
    scopes?.toSorted().join(' ') ?? '',
    details ?? '',
  ];
  return `token ${JSON.stringify(parts)}`;
}
