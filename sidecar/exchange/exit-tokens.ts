/**
 * Tokens for audiences outside the mesh, obtained from the authority with the delegation in hand and kept for as long as the
 * same delegation goes to the same audience with the same scopes: bounded, not near their end, and never past a revocation of
 * anything that they rest on or a change of the policy.
 */
import { type RevocableFacts, type Revocation, type RevocationSource, revocationHits } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { ExitToken, ExitTokenOrder, ExitTokenSource } from '../call/environment.ts';
import type { ExchangeStream } from './exchange-stream.ts';

const TXN_TOKEN = 'urn:ietf:params:oauth:token-type:txn_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
/** Tokens kept; the oldest goes first. */
const MAX_TOKENS = 8_192;
/** A token is sent again only while this much of its life is left. */
const LEFT_S = 5;
const MAX_TOKEN_LENGTH = 8_192;

export interface ExitTokens extends ExitTokenSource {
  revoke(revocation: Revocation, source: RevocationSource): void;
  /** Forgets everything, also what is being asked for. */
  clear(): void;
  evictExpired(nowS: number): void;
}

export interface ExitTokensOptions {
  readonly exchange: Pick<ExchangeStream, 'exchangeOut'>;
  readonly identity: Pick<OwnIdentity, 'current'>;
  readonly nowS: () => number;
}

interface Kept {
  readonly token: ExitToken;
  readonly revocable: RevocableFacts | null;
}

export function createExitTokens({ exchange, identity, nowS }: ExitTokensOptions): ExitTokens {
  const kept = new Map<string, Kept>();
  /** One exchange a key at a time: who asks meanwhile gets its token. */
  let asking = new Map<string, Promise<ExitToken>>();

  function get(order: ExitTokenOrder): Promise<ExitToken> | ExitToken {
    const key = keyOf(order, identity.current().witS256);
    const before = kept.get(key);
    if (before !== undefined) {
      if (before.token.expS - nowS() > LEFT_S) return before.token;
      kept.delete(key);
    }
    const running = asking.get(key);
    if (running !== undefined) return running;
    const round = asking;
    const asked = obtain(order).then(
      (token) => {
        // What was taken back or changed meanwhile made a new round: this one is used once, and judged again before.
        if (asking === round) keep(key, { token, revocable: order.parent?.revocable ?? null });
        round.delete(key);
        return token;
      },
      (thrown) => {
        round.delete(key);
        throw thrown;
      },
    );
    round.set(key, asked);
    return asked;
  }

  async function obtain({ parent, audience, scopes }: ExitTokenOrder): Promise<ExitToken> {
    const subject =
      parent === null
        ? { subjectToken: identity.current().wit, subjectTokenType: JWT }
        : {
            subjectToken: parent.parent.txnToken,
            subjectTokenType: TXN_TOKEN,
            delegationChain: parent.parent.delegationChain,
            delegationCredentials: parent.parent.delegationCredentials,
          };
    const issued = await exchange.exchangeOut({ ...subject, audience, scope: scopes.join(' ') });
    const { accessToken: compact, jti, expiresS: expS } = issued;
    // It goes into a field of a request: nothing but what a JWT is made of.
    if (compact.length > MAX_TOKEN_LENGTH || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(compact))
      throw new BehalfError('internal', { by: 'authority', why: 'no token for the audience' });
    return { compact, jti, expS };
  }

  function keep(key: string, entry: Kept): void {
    if (kept.size >= MAX_TOKENS) kept.delete(kept.keys().next().value as string);
    kept.set(key, entry);
  }

  return {
    get,
    revoke(revocation, source) {
      asking = new Map();
      for (const [key, { revocable }] of kept)
        if (revocable !== null && revocationHits(revocation, source, revocable)) kept.delete(key);
    },
    clear() {
      kept.clear();
      asking = new Map();
    },
    evictExpired(now) {
      for (const [key, { token }] of kept) if (token.expS <= now) kept.delete(key);
    },
  };
}

/** INVARIANT: all that the token follows from, but the policy, whose change forgets all. The scopes stand last. */
function keyOf({ parent, audience, scopes }: ExitTokenOrder, witS256: string): string {
  const subject = parent === null ? `own ${witS256}` : parent.chainId.toString('base64url');
  return `${subject} ${audience} ${[...scopes].sort().join(' ')}`;
}
