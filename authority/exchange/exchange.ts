/**
 * Token exchange (RFC 8693): what a caller presents becomes a root (a Transaction Token, WIRE.md section 1). The one function
 * behind the gRPC stream and HTTP `/token`. A user's access token becomes a root for that user; a workload's own WIT becomes
 * a root of its own. Either way only for the workload that its SVID proves, and only as far as the signed snapshot says.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import type { AuthorizationDetail } from '../../delegation/index.ts';
import { DEFAULT_ROOT_LIFE_S, mintRoot } from '../../delegation/root/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { type Clock, DEFAULT_CLOCK_RULE, type SpiffeId, type TrustDomain } from '../../identity/index.ts';
import { type VerifiedWit, verifyWit } from '../../identity/wit/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';
import type { Consent, Consents } from '../consent/consents.ts';
import { isPurpose, PURPOSE_RULE } from '../consent/purpose.ts';
import type { GrantDetails } from '../details/grant-details.ts';
import type { AuthorityKeys } from '../keys/keys.ts';
import type { AccessTokens, VerifiedAccessToken } from '../oauth/access-tokens.ts';
import type { Database } from '../store/database.ts';
import type { PresentedProof, ProofChecker } from './proof-of-possession.ts';

export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
/** Private: the reference of work that was put off (`../deferred/`). */
export const DEFERRED_TYPE = 'urn:behalf:params:oauth:token-type:deferred';
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
/** Transaction Tokens draft, section 5.3. */
export const TXN_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:txn_token';

/** RFC 8693 section 2.1, and what the entry saw of the proof. UNTRUSTED: all of it is the caller's choice. */
export interface ExchangeParameters extends PresentedProof {
  readonly subjectToken: string;
  readonly subjectTokenType: string;
  readonly scope: string;
  /** Of deferred work: whether an empty `scope` or empty details ask for none, and not for all that is left. */
  readonly narrows?: boolean;
  readonly authorizationDetails: string;
  readonly purpose: string;
  /** For an own root: whom the caller will call. Empty otherwise. */
  readonly ownTo: string;
}

/** Who asks, as mutual TLS proved it. */
export interface ExchangeCaller {
  readonly id: SpiffeId;
  /** base64url SHA-256 of its certificate. */
  readonly certificateS256: string;
}

export interface IssuedRoot {
  readonly txnToken: string;
  readonly expiresS: number;
  readonly scope: string;
  readonly details: readonly AuthorizationDetail[];
}

export type Exchange = (parameters: ExchangeParameters, caller: ExchangeCaller) => Promise<IssuedRoot>;

export interface ExchangeDeps {
  readonly issuer: string;
  /** `aud` of every root. */
  readonly audience: string;
  readonly keys: AuthorityKeys;
  /** Ours, and those of other issuers that are taken. */
  readonly tokens: Pick<AccessTokens, 'verify' | 'stands' | 'consentIdOf'>;
  readonly consents: Consents;
  readonly details: GrantDetails;
  readonly transaction: Database['transaction'];
  readonly proofs: ProofChecker;
  /** Takes work up again that was put off. */
  readonly resume: Exchange;
  readonly snapshot: () => PolicySnapshot | null;
  /** Whether user and client are still configured. */
  readonly stands: (account: string, clientId: string) => boolean;
  /** Mesh pseudonym of an account. */
  readonly subjectOf: (account: string) => string;
  readonly trustDomain: TrustDomain;
  /** The mesh's key that signs WITs under this name, or null. */
  readonly witKey: (kid: string) => KeyObject | null;
  readonly clock: Clock;
}

/** Makes the exchange. */
export function createExchange(deps: ExchangeDeps): Exchange {
  return async (parameters, caller) => {
    switch (parameters.subjectTokenType) {
      case ACCESS_TOKEN_TYPE:
        return await exchangeAccessToken(deps, parameters, caller);
      case JWT_TYPE:
        return exchangeOwnWit(deps, parameters, caller);
      case DEFERRED_TYPE:
        return await deps.resume(parameters, caller);
      default:
        throw new BehalfError('request_malformed', { why: 'subject_token_type is of no kind that is exchanged' });
    }
  };
}

async function exchangeAccessToken(
  deps: ExchangeDeps,
  parameters: ExchangeParameters,
  caller: ExchangeCaller,
): Promise<IssuedRoot> {
  entryCeiling(deps, caller.id);
  const asked = parseScope(parameters.scope);
  const token = await verifyToken(deps, parameters.subjectToken);
  await deps.proofs.check(parameters, parameters.subjectToken, token);

  // INVARIANT: nothing waits from here on, so that nothing is taken back between the last look at what the root rests on
  // and its `iat`. What was looked at before the waits is looked at again.
  const nowS = Math.floor(deps.clock());
  const ceiling = entryCeiling(deps, caller.id);
  const consent = standingConsent(deps.consents.ofGrant(token.grantId), nowS);
  if (!deps.tokens.stands(token)) throw new BehalfError('entry_token_invalid', { why: 'revoked' });
  if (!deps.stands(token.account, token.clientId))
    throw new BehalfError('entry_token_invalid', { why: 'its user or client is gone' });
  const scope = asked.filter(
    (name) => token.scopes.includes(name) && consent.scopes.includes(name) && ceiling.includes(name),
  );
  // What is taken of the grant is on disk before the root is out; where it cannot be made, nothing was taken.
  return deps.transaction(() => {
    const details = deps.details.reserve(token.grantId, parameters.authorizationDetails);
    return mint(deps, {
      nowS,
      expS: Math.min(nowS + DEFAULT_ROOT_LIFE_S, token.expS, consent.untilS),
      sub: deps.subjectOf(token.account),
      scope,
      caller: caller.id,
      tctx: {
        client_id: token.clientId,
        consent: { id: consent.id, version: consent.version },
        grant: token.grantId,
        purpose: consent.purpose,
        ...(details.length === 0 ? {} : { authorization_details: details }),
      },
    });
  });
}

/** @throws {BehalfError} `snapshot_stale`, `policy_denied` */
function entryCeiling(deps: ExchangeDeps, workload: SpiffeId): readonly string[] {
  const { entry_ceiling } = workloadOf(deps, workload);
  if (entry_ceiling === null) throw new BehalfError('policy_denied', { workload, why: 'not registered as an entry' });
  return entry_ceiling;
}

function exchangeOwnWit(deps: ExchangeDeps, parameters: ExchangeParameters, caller: ExchangeCaller): IssuedRoot {
  if (parameters.authorizationDetails !== '')
    throw new BehalfError('details_unsupported', { why: 'a workload’s own authority has none' });
  const nowS = Math.floor(deps.clock());
  const wit = verifyOwnWit(deps, parameters.subjectToken, caller, nowS);
  const edge = workloadOf(deps, caller.id).own.find(({ to }) => to === parameters.ownTo);
  if (edge === undefined)
    throw new BehalfError('policy_denied', { workload: caller.id, to: parameters.ownTo, why: 'no own edge' });
  // No scope asked is all that the edge gives; RFC 8693 leaves the default to the server.
  const asked = parseScope(parameters.scope);
  const purpose = parsePurpose(parameters.purpose);
  return mint(deps, {
    nowS,
    expS: Math.min(nowS + DEFAULT_ROOT_LIFE_S, wit.exp),
    sub: caller.id,
    scope: asked.length === 0 ? edge.scopes : edge.scopes.filter((name) => asked.includes(name)),
    caller: caller.id,
    tctx: purpose === '' ? {} : { purpose },
  });
}

interface RootFacts {
  readonly nowS: number;
  readonly expS: number;
  readonly sub: string;
  readonly scope: readonly string[];
  readonly caller: SpiffeId;
  readonly tctx: Parameters<typeof mintRoot>[0]['tctx'];
}

/** Makes and signs a root; the caller answers for what stands in it. */
export type MintRoot = (facts: RootFacts) => IssuedRoot & { readonly txn: string };

/** @throws {BehalfError} `entry_token_expired` where it would end before it begins */
export function createMint(deps: Pick<ExchangeDeps, 'issuer' | 'audience' | 'keys'>): MintRoot {
  return (facts) => mint(deps, facts);
}

function mint(
  deps: Pick<ExchangeDeps, 'issuer' | 'audience' | 'keys'>,
  { nowS, expS, sub, scope, caller, tctx }: RootFacts,
): IssuedRoot & { readonly txn: string } {
  if (!(expS > nowS)) throw new BehalfError('entry_token_expired', { nowS, expS });
  const claims = {
    iss: deps.issuer,
    aud: deps.audience,
    iat: nowS,
    exp: expS,
    txn: randomBytes(16).toString('base64url'),
    sub,
    scope: scope.join(' '),
    req_wl: caller,
    tctx,
  };
  return {
    txn: claims.txn,
    txnToken: mintRoot(claims, deps.keys.root),
    expiresS: expS,
    scope: claims.scope,
    details: tctx.authorization_details ?? [],
  };
}

/** A token that was ended with its consent says so: the client may ask again, where a stolen token may not. */
async function verifyToken({ tokens, consents }: ExchangeDeps, compact: string): Promise<VerifiedAccessToken> {
  try {
    return await tokens.verify(compact);
  } catch (error) {
    const id =
      error instanceof BehalfError && error.code === 'entry_token_invalid' ? await tokens.consentIdOf(compact) : null;
    if (id !== null && consents.get(id)?.state === 'withdrawn')
      throw new BehalfError('consent_withdrawn', {}, { cause: error });
    throw error;
  }
}

function standingConsent(consent: Consent | null, nowS: number): Consent {
  if (consent === null) throw new BehalfError('entry_token_invalid', { why: 'no consent' });
  if (consent.state === 'withdrawn') throw new BehalfError('consent_withdrawn', {});
  if (consent.state !== 'active' || !(nowS < consent.untilS))
    throw new BehalfError('entry_token_expired', { untilS: consent.untilS, nowS });
  return consent;
}

/** What judging a workload's own WIT takes. */
export interface OwnWitDeps {
  readonly trustDomain: TrustDomain;
  /** The mesh's key that signs WITs under this name, or null. */
  readonly witKey: (kid: string) => KeyObject | null;
}

/**
 * A WIT that the caller presents for itself.
 * @throws {BehalfError} `entry_token_invalid`, `entry_proof_invalid`
 */
export function verifyOwnWit(
  { trustDomain, witKey }: OwnWitDeps,
  compact: string,
  caller: ExchangeCaller,
  nowS: number,
): VerifiedWit {
  const wit = witOf(compact, { trustDomain, witKey, nowS, clock: DEFAULT_CLOCK_RULE });
  // A WIT is no secret: it goes along with every chain. What makes it the caller's is the certificate that it is bound to.
  if (wit.spiffeId !== caller.id || wit.certificateS256 !== caller.certificateS256)
    throw new BehalfError('entry_proof_invalid', { why: 'the WIT is not the caller’s own' });
  return wit;
}

function witOf(compact: string, context: Parameters<typeof verifyWit>[1]): VerifiedWit {
  try {
    return verifyWit(compact, context);
  } catch (cause) {
    throw new BehalfError('entry_token_invalid', { why: 'not a valid WIT' }, { cause });
  }
}

function workloadOf({ snapshot, clock }: ExchangeDeps, id: SpiffeId): PolicySnapshot['workloads'][string] {
  const current = snapshot();
  if (current === null || !(clock() < current.valid_until)) throw new BehalfError('snapshot_stale', {});
  const workload = Object.hasOwn(current.workloads, id) ? current.workloads[id] : undefined;
  if (workload === undefined)
    throw new BehalfError('policy_denied', { workload: id, why: 'not a workload of the snapshot' });
  return workload;
}

/** RFC 6749 section 3.3: tokens of printable ASCII without space, quote and backslash, joined by one space. */
export function parseScope(scope: string): string[] {
  if (scope === '') return [];
  const names = scope.split(' ');
  if (names.length > 64 || names.some((name) => !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(name))) {
    throw new BehalfError('request_malformed', { why: 'scope is not a list of scope tokens' });
  }
  return [...new Set(names)];
}

function parsePurpose(purpose: string): string {
  if (!isPurpose(purpose)) throw new BehalfError('request_malformed', { why: `purpose has to be ${PURPOSE_RULE}` });
  return purpose;
}
