/**
 * Token exchange for the outside (RFC 8693): who holds a delegation gets a token for one audience outside the mesh, the exit
 * that the signed snapshot has for it. The token is an RFC 9068 JWT that names the user by a pseudonym of that audience alone;
 * nothing of the chain is in it but what the exit says. What is issued, and what is refused, is on record before it is answered.
 */
import { randomBytes } from 'node:crypto';
import type { VerifiedChain, VerifiedRoot } from '../../delegation/index.ts';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { Clock, SpiffeId } from '../../identity/index.ts';
import { signCompactJws } from '../../identity/jws.ts';
import {
  type CompiledSnapshot,
  type DelegationFacts,
  decideExitToken,
  exitOfAudience,
  factsOfDelegation,
  factsOfOwn,
  type SnapshotExit,
} from '../../policy/index.ts';
import type { Consents } from '../consent/consents.ts';
import { type RecordEvent, tokenIssuedEvent } from '../events/events.ts';
import type { AuthorityKeys } from '../keys/keys.ts';
import { type ExchangeCaller, JWT_TYPE, parseScope, TXN_TOKEN_TYPE, verifyOwnWit } from './exchange.ts';
import { type HeldContext, verifyHeld } from './held-chain.ts';

/** UNTRUSTED: all of it is the caller's choice. */
export interface ExitTokenOrder {
  /** `…:txn_token` with the root of the delegation, or `…:jwt` with the caller's own WIT for its own authority. */
  readonly subjectToken: string;
  readonly subjectTokenType: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
  readonly audience: string;
  /** Scopes of the mesh, at most these; none where empty. */
  readonly scope: string;
}

export interface IssuedExitToken {
  readonly accessToken: string;
  readonly jti: string;
  readonly expiresS: number;
  /** What the token says, in the words of the one outside. */
  readonly scope: string;
}

export type ExitTokens = (order: ExitTokenOrder, caller: ExchangeCaller) => Promise<IssuedExitToken>;

export interface ExitTokenDeps extends Omit<HeldContext, 'nowS'> {
  readonly keys: AuthorityKeys;
  readonly consents: Consents;
  readonly policy: () => CompiledSnapshot | null;
  /** Whether user and client are still configured, and not banned. */
  readonly stands: (account: string, clientId: string) => boolean;
  readonly accountOf: (subject: string) => string | null;
  /** A user's pseudonym for one audience outside; no two audiences have the same. */
  readonly pseudonymFor: (account: string, audience: string) => string;
  readonly record: RecordEvent;
  readonly clock: Clock;
}

/** Longest `audience` that is read. */
const MAX_AUDIENCE_LENGTH = 512;

/** What a token is about to rest on. */
interface Basis {
  readonly sub: string;
  readonly facts: DelegationFacts;
  readonly delegation: VerifiedRoot | VerifiedChain | null;
  /** Nothing that rests on it lasts longer. */
  readonly endS: number;
}

/** Makes the exchange. */
export function createExitTokens(deps: ExitTokenDeps): ExitTokens {
  return async (order, caller) => {
    const account: Account = { exit: '', basis: null, policies: [], snapshot: 0, scope: '' };
    try {
      const { token, claims } = issue(deps, order, caller, account);
      await deps.record(tokenIssuedEvent({ ...told(order, caller, account), code: '', claims }));
      return { accessToken: token, jti: claims.jti, expiresS: claims.exp, scope: claims.scope };
    } catch (thrown) {
      const code = codeOf(thrown);
      if (code !== 'audit_unavailable')
        await deps.record(tokenIssuedEvent({ ...told(order, caller, account), code, claims: null }));
      throw thrown;
    }
  };
}

/** What becomes known on the way, for the record of a refusal. */
interface Account {
  exit: string;
  basis: Basis | null;
  policies: readonly string[];
  snapshot: number;
  scope: string;
}

/** Claims of RFC 9068 section 2.2; `act` as RFC 8693 section 4.1. */
export interface ExitTokenClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly client_id: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly scope: string;
  readonly act?: Actor;
}

interface Actor {
  readonly sub: string;
  readonly act?: Actor;
}

/** INVARIANT: nothing waits in here, so that nothing is taken back between the last look at what it rests on and its `iat`. */
function issue(
  deps: ExitTokenDeps,
  order: ExitTokenOrder,
  caller: ExchangeCaller,
  account: Account,
): { token: string; claims: ExitTokenClaims } {
  const nowS = Math.floor(deps.clock());
  const compiled = deps.policy();
  if (compiled === null || !(nowS < compiled.validUntilS)) throw new BehalfError('snapshot_stale', {});
  account.snapshot = compiled.number;
  if (order.audience.length > MAX_AUDIENCE_LENGTH) throw new BehalfError('request_malformed', { why: 'audience' });
  const asked = parseScope(order.scope);
  const named = exitOfAudience(compiled, caller.id, order.audience);
  if (named === null) throw new BehalfError('policy_denied', { workload: caller.id, why: 'no exit of that audience' });
  account.exit = named.name;
  const basis = basisOf(deps, order, caller, named.exit, nowS);
  const left = basis.facts.scopes.filter((scope) => asked.includes(scope));
  account.basis = basis;
  account.scope = left.join(' ');
  const decision = decideExitToken(compiled, {
    nowS,
    caller: caller.id,
    exit: named.name,
    facts: { ...basis.facts, scopes: left },
  });
  account.policies = decision.policies;
  if (decision.kind === 'deny') throw new BehalfError(decision.code ?? 'policy_denied', decision.detail);
  const { audience, client_id, scopes, ttl_s, actor } = named.token;
  const outside = left.flatMap((scope) => (Object.hasOwn(scopes, scope) ? [scopes[scope] as string] : []));
  const exp = Math.min(nowS + ttl_s, Math.floor(basis.endS));
  if (!(exp > nowS)) throw new BehalfError('delegation_expired', { nowS, exp });
  const claims: ExitTokenClaims = {
    iss: deps.issuer,
    aud: audience,
    sub: basis.sub,
    client_id,
    iat: nowS,
    exp,
    jti: randomBytes(16).toString('base64url'),
    scope: [...new Set(outside)].join(' '),
    ...(actor && basis.delegation !== null ? { act: actorsOf(basis.delegation.actors, caller.id) } : {}),
  };
  const { kid, key } = deps.keys.token;
  return { token: signCompactJws({ typ: 'at+jwt', alg: 'ES256', kid }, claims, key), claims };
}

function basisOf(
  deps: ExitTokenDeps,
  order: ExitTokenOrder,
  caller: ExchangeCaller,
  exit: SnapshotExit,
  nowS: number,
): Basis {
  switch (order.subjectTokenType) {
    case TXN_TOKEN_TYPE:
      return delegatedBasis(deps, order, caller, nowS);
    case JWT_TYPE:
      return ownBasis(deps, order, caller, exit, nowS);
    default:
      throw new BehalfError('request_malformed', { why: 'subject_token_type is neither a txn_token nor a jwt' });
  }
}

function delegatedBasis(
  deps: ExitTokenDeps,
  { subjectToken: txnToken, delegationChain, delegationCredentials, audience }: ExitTokenOrder,
  caller: ExchangeCaller,
  nowS: number,
): Basis {
  deps.fresh();
  const delegation = verifyHeld({ txnToken, delegationChain, delegationCredentials }, caller.id, { ...deps, nowS });
  checkMayGoOn(delegation);
  const facts = factsOfDelegation(delegation);
  // A root of a workload's own, handed on: it is known outside by its name, as it would be if it called itself.
  if (facts.own) return { sub: delegation.sub, facts, delegation, endS: delegation.expS };
  const consent = delegation.consent === null ? null : deps.consents.get(delegation.consent.id);
  const account = deps.accountOf(delegation.sub);
  if (account === null || consent === null || consent.account !== account)
    throw new BehalfError('delegation_revoked', { why: 'its user or consent is gone' });
  if (consent.state !== 'active') throw new BehalfError('consent_withdrawn', {});
  if (!deps.stands(account, consent.clientId))
    throw new BehalfError('delegation_revoked', { why: 'its user or client is gone' });
  return {
    sub: deps.pseudonymFor(account, audience),
    // The consent may have become narrower since the root was made.
    facts: { ...facts, scopes: facts.scopes.filter((scope) => consent.scopes.includes(scope)) },
    delegation,
    endS: Math.min(delegation.expS, consent.untilS),
  };
}

/**
 * A token for the outside is one more hand-over: who limited those limits it too.
 * @throws {BehalfError} `delegation_too_deep`, `delegation_broken_chain`
 */
function checkMayGoOn({ depth, maxDepth, next }: VerifiedRoot | VerifiedChain): void {
  if (depth >= maxDepth) throw new BehalfError('delegation_too_deep', { depth, maxDepth });
  if (next.length > 0)
    throw new BehalfError('delegation_broken_chain', { why: '`next` lets it go on to named workloads alone' });
}

function ownBasis(
  deps: ExitTokenDeps,
  order: ExitTokenOrder,
  caller: ExchangeCaller,
  exit: SnapshotExit,
  nowS: number,
): Basis {
  const wit = verifyOwnWit(deps, order.subjectToken, caller, nowS);
  if (exit.own === null)
    throw new BehalfError('policy_denied', { workload: caller.id, why: 'the exit is not for own calls' });
  return { sub: caller.id, facts: factsOfOwn(caller.id, exit.own), delegation: null, endS: wit.exp };
}

/** Who acts now is outermost, who acted before within. `actors` may name the holder itself, at the entry. */
function actorsOf(actors: readonly SpiffeId[], holder: SpiffeId): Actor {
  const before = actors.at(-1) === holder ? actors.slice(0, -1) : actors;
  const chain = before.reduce<Actor | null>((act, sub) => (act === null ? { sub } : { sub, act }), null);
  return chain === null ? { sub: holder } : { sub: holder, act: chain };
}

function told(order: ExitTokenOrder, caller: ExchangeCaller, { exit, basis, policies, snapshot, scope }: Account) {
  return {
    exit,
    audience: order.audience.slice(0, MAX_AUDIENCE_LENGTH),
    workload: caller.id,
    delegation: basis?.delegation ?? null,
    policies,
    snapshot,
    scope,
  };
}
