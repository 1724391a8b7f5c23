/**
 * Work that outlives its request (WIRE.md section 6): putting it off and taking it up again. A grant stands only as long as all that the
 * old chain rested on: its consent, client, user and OAuth grant, and every workload, WIT and certificate that signed it.
 */
import { randomBytes } from 'node:crypto';
import { DEFAULT_MAX_DEPTH } from '../../delegation/index.ts';
import { DEFAULT_ROOT_LIFE_S } from '../../delegation/root/index.ts';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { isPurpose, PURPOSE_RULE } from '../consent/purpose.ts';
import { chooseDetails } from '../details/grant-details.ts';
import { deferredEvent } from '../events/events.ts';
import { type ExchangeParameters, type IssuedRoot, type MintRoot, parseScope } from '../exchange/exchange.ts';
import { type HeldContext, type HeldDelegation, verifyHeld } from '../exchange/held-chain.ts';
import { type CheckDeps, checkConsent, checkPolicy, checkState, namesOf } from './checks.ts';
import { createEndings, type EndingDeps, type Endings } from './endings.ts';
import type { DeferredGrant } from './grant.ts';
import { leftOfChain } from './left-of-chain.ts';

/** Standing at once; the answer beyond it is `quota_exceeded`. */
const MAX_OF_HOLDER = 100_000;
const MAX_OF_CONSENT = 1_000;
/** References are 43 characters. */
const MAX_REFERENCE_LENGTH = 64;

/** Who asks, as mutual TLS proved it. */
export interface Holder {
  readonly id: SpiffeId;
  readonly certificateS256: string;
  readonly issuedS: number;
}

/** UNTRUSTED: all of it is the caller's choice. */
export interface DeferOrder extends HeldDelegation {
  readonly purpose: string;
  /** 0: as long as the consent lets. */
  readonly maxS: number;
  /** 0: one. */
  readonly uses: number;
  /** Null for all that is left. */
  readonly scope: string | null;
  readonly authorizationDetails: string;
}

export interface Deferrals extends Pick<Endings, 'cancel' | 'onQueued' | 'onCaRevocation' | 'sweep'> {
  /**
   * Makes a grant of a delegation that `holder` holds. Resolves when it is durable and on record.
   * @throws {BehalfError} what `verifyHeld` throws; `policy_denied`, `not_deferrable`, `consent_withdrawn`, `quota_exceeded`,
   *   `delegation_scope_widened`, `request_malformed`, `revocation_stale`, `snapshot_stale`, `audit_unavailable`
   */
  defer(order: DeferOrder, holder: Holder): Promise<{ readonly reference: string; readonly grant: DeferredGrant }>;
  /**
   * Makes one root of a grant: one use, whether or not the answer arrives.
   * @throws {BehalfError} `deferred_unknown`, `deferred_exhausted`, `deferred_expired`, `delegation_revoked`, `consent_withdrawn`,
   *   `not_deferrable`, `policy_denied`, `revocation_stale`, `snapshot_stale`, `audit_unavailable`
   */
  resume(parameters: ExchangeParameters, caller: { readonly id: SpiffeId }): Promise<IssuedRoot>;
}

export interface DeferralDeps extends CheckDeps, EndingDeps, Omit<HeldContext, 'nowS'> {
  readonly mint: MintRoot;
}

/** How long a refusal of the same grant, caller and code is not written again: the caller's own record has each of them. */
const REFUSAL_QUIET_S = 60;
/** Remembered at once; beyond it all are forgotten, and written once more. */
const MAX_REFUSALS = 10_000;

/** UNTRUSTED: who has a reference can be refused as often as they like, and a full spool would deny everyone else's work. */
function createRefusalMemory() {
  const seen = new Map<string, number>();
  return {
    isNew(key: string, nowS: number): boolean {
      const before = seen.get(key);
      if (before !== undefined && nowS - before < REFUSAL_QUIET_S) return false;
      if (seen.size >= MAX_REFUSALS) seen.clear();
      seen.set(key, nowS);
      return true;
    },
  };
}

/** Makes the room's one set of functions. */
export function createDeferrals(deps: DeferralDeps): Deferrals {
  const { database, store, consents, record, subjectOf, clock } = deps;
  const endings = createEndings(deps);
  const { told } = endings;
  const nowS = (): number => Math.floor(clock());
  const refusals = createRefusalMemory();

  /** INVARIANT: nothing waits in here, so that nothing is taken back between the last look and the grant. */
  function makeGrant(order: DeferOrder, { id: holder, certificateS256: certificate, issuedS }: Holder): DeferredGrant {
    const { detailTypes } = checkPolicy(deps, holder);
    const held = verifyHeld(order, holder, { ...deps, nowS: clock() });
    endings.checkUnbroken();
    const names = namesOf(deps, held);
    const consent = checkConsent(deps, names);
    const uses = order.uses === 0 ? 1 : order.uses;
    const maxS = order.maxS === 0 ? consent.deferrable.maxS : order.maxS;
    if (uses > consent.deferrable.uses || maxS > consent.deferrable.maxS)
      throw new BehalfError('not_deferrable', { why: 'more than the user agreed to', ...consent.deferrable });
    if (!isPurpose(order.purpose))
      throw new BehalfError('request_malformed', { why: `purpose has to be ${PURPOSE_RULE}` });
    if (store.count({ holder }) >= MAX_OF_HOLDER || store.count({ consent: consent.id }) >= MAX_OF_CONSENT)
      throw new BehalfError('quota_exceeded', { why: 'standing deferred work', MAX_OF_HOLDER, MAX_OF_CONSENT });
    const scope = order.scope === null ? null : parseScope(order.scope);
    const signer = { iat: issuedS, workload: holder, certificate, jti: null, kid: null };
    return {
      id: `d:${randomBytes(16).toString('base64url')}`,
      holder,
      ...names,
      txn: held.txn,
      chain: leftOfChain(
        held,
        { scope, details: order.authorizationDetails, uses },
        signer,
        detailTypes,
        store.ofTxn(held.txn).map(({ chain }) => chain),
      ),
      purpose: order.purpose,
      madeS: nowS(),
      untilS: Math.min(nowS() + maxS, consent.untilS),
      uses,
      usesLeft: uses,
      usedS: 0,
      state: 'standing',
      endedBy: '',
      endedWhy: '',
    };
  }

  /** INVARIANT: nothing waits in here either, up to the root's `iat`; the use is on disk before the root is out. */
  function takeUp(grant: DeferredGrant, parameters: ExchangeParameters): ReturnType<MintRoot> {
    const { detailTypes } = checkPolicy(deps, grant.holder);
    deps.fresh();
    endings.checkUnbroken();
    const now = store.get(grant.id);
    if (now === null) throw new BehalfError('deferred_unknown');
    checkState(now, nowS(), consents.get(now.consent));
    const hit = deps.revoked(endings.factsOf(now));
    if (hit !== null)
      throw new BehalfError(hit.kind === 'consent' ? 'consent_withdrawn' : 'delegation_revoked', { kind: hit.kind });
    const consent = checkConsent(deps, now);
    const { chain, id, holder, txn, account, clientId, grantId, untilS } = now;
    const narrows = parameters.narrows === true;
    const asked = parameters.scope === '' && !narrows ? chain.scope : parseScope(parameters.scope);
    const scope = chain.scope.filter((name) => consent.scopes.includes(name) && asked.includes(name));
    const wish = parameters.authorizationDetails;
    const unasked = narrows ? null : chain.details;
    const details = wish === '' ? unasked : chooseDetails(wish, chain.details ?? [], detailTypes);
    const next = chain.next === null ? {} : { next: chain.next };
    return database.transaction(() => {
      if (!store.use(id, nowS())) throw new BehalfError('deferred_exhausted', { id });
      return deps.mint({
        nowS: nowS(),
        expS: Math.min(nowS() + DEFAULT_ROOT_LIFE_S, untilS, consent.untilS),
        sub: subjectOf(account),
        scope,
        caller: holder,
        tctx: {
          client_id: clientId,
          consent: { id: consent.id, version: consent.version },
          grant: grantId,
          purpose: consent.purpose,
          ...(details === null ? {} : { authorization_details: details }),
          ...(chain.acr === null ? {} : { acr: chain.acr }),
          ...(chain.maxDepth === DEFAULT_MAX_DEPTH ? {} : { max_depth: chain.maxDepth }),
          deferred: { ref: id, txn, depth: chain.depth, wl: chain.before, ...next },
        },
      });
    });
  }

  return {
    ...endings,
    async defer(order, holder) {
      const grant = makeGrant(order, holder);
      const reference = store.add(grant);
      try {
        await record(deferredEvent({ ...told(grant), change: 'deferred' }));
      } catch (error) {
        // Its reference is nowhere: nothing that is not on record can be taken up.
        store.remove(grant.id);
        throw error;
      }
      return { reference, grant };
    },
    async resume(parameters, { id: caller }) {
      const reference = parameters.subjectToken;
      const grant = reference.length > MAX_REFERENCE_LENGTH ? null : store.ofReference(reference);
      if (grant === null) throw new BehalfError('deferred_unknown');
      const now = () => told(store.get(grant.id) ?? grant);
      try {
        // A reference that another workload shows was stolen: it learns nothing from the answer, and it is on record.
        if (grant.holder !== caller) throw new BehalfError('deferred_unknown');
        const { txn: newTxn, ...issued } = takeUp(grant, parameters);
        await record(deferredEvent({ ...now(), change: 'resumed', caller, newTxn }));
        return issued;
      } catch (thrown) {
        const code = codeOf(thrown);
        if (code !== 'audit_unavailable' && refusals.isNew(`${grant.id} ${caller} ${code}`, clock()))
          await record(deferredEvent({ ...now(), change: 'refused', caller, code }));
        throw thrown;
      }
    },
  };
}
