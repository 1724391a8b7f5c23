/** Deferred work over gRPC (`behalf.authority.v1.Deferrals`): a workload's own, and all of it for operators. */
import { BehalfError } from '../../errors/index.ts';
import { pathOf, type TrustDomain } from '../../identity/index.ts';
import { type Caller, type Implementation, requireCaller } from '../../identity/mtls/index.ts';
import type { Deferrals as DeferralsService, Deferred } from '../../proto/behalf/authority/v1/authority.ts';
import { requireOperator } from '../consent/serve-consents.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { Deferrals, Holder } from './deferrals.ts';
import type { DeferredGrant } from './grant.ts';
import type { DeferredStore } from './store.ts';

const MAX_REASON_CHARACTERS = 500;

export interface DeferralServiceDeps {
  readonly trustDomain: TrustDomain;
  readonly deferrals: Deferrals;
  readonly deferredStore: DeferredStore;
  readonly accounts: Accounts;
  readonly subjectOf: (account: string) => string;
}

/** Makes the service. */
export function serveDeferrals(deps: DeferralServiceDeps): Implementation<DeferralsService> {
  const { trustDomain, deferrals, deferredStore: store } = deps;
  return {
    async defer({ narrows, scope, ...order }, caller) {
      const { reference, grant } = await deferrals.defer({ ...order, scope: narrows ? scope : null }, holderOf(caller));
      return { reference, deferred: messageOf(deps, grant, false) };
    },
    listDeferred({ ended }, caller) {
      if (!isOperator(caller))
        return {
          deferred: store.list({ holder: requireCaller(caller) }, ended).map((grant) => messageOf(deps, grant, false)),
        };
      requireOperator(caller, trustDomain);
      return { deferred: store.list({ all: true }, ended).map((grant) => messageOf(deps, grant, true)) };
    },
    async cancelDeferred({ id, reason }, caller) {
      if (reason.length > MAX_REASON_CHARACTERS)
        throw new BehalfError('request_malformed', { member: 'reason', why: 'too long' });
      const operator = isOperator(caller) ? requireOperator(caller, trustDomain) : null;
      // Another workload's is answered like one that is not there.
      if (operator === null && store.get(id)?.holder !== requireCaller(caller))
        throw new BehalfError('not_found', { what: 'deferred work' });
      const { grant, number } = await deferrals.cancel(id, requireCaller(caller), reason);
      return { deferred: messageOf(deps, grant, operator !== null), number };
    },
  };
}

function isOperator(caller: Caller): boolean {
  return caller.id !== null && pathOf(caller.id).startsWith('/behalf/operator/');
}

function holderOf(caller: Caller): Holder {
  const id = requireCaller(caller);
  const { certificateS256, issuedS } = caller;
  if (certificateS256 === null || issuedS === null) throw new BehalfError('peer_unauthenticated', {});
  return { id, certificateS256, issuedS };
}

/** A workload knows the user by pseudonym alone. */
function messageOf({ accounts, subjectOf }: DeferralServiceDeps, grant: DeferredGrant, forOperator: boolean): Deferred {
  const { id, holder, clientId, txn, purpose, madeS, untilS, uses, usesLeft, state, endedBy, endedWhy } = grant;
  return {
    id,
    holder,
    subject: subjectOf(grant.account),
    account: forOperator ? (accounts.nameOf(grant.account) ?? '') : '',
    clientId,
    consentId: grant.consent,
    txn,
    scopes: [...grant.chain.scope],
    purpose,
    madeS,
    untilS,
    uses,
    usesLeft,
    state,
    endedBy,
    endedWhy,
  };
}
