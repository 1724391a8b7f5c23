/** Consents over gRPC (`behalf.authority.v1.Consents`), for operators: `spiffe://<td>/behalf/operator/<name>`. */
import { BehalfError } from '../../errors/index.ts';
import { pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from '../../identity/index.ts';
import { type Caller, type Implementation, requireCaller } from '../../identity/mtls/index.ts';
import type {
  Consent as ConsentMessage,
  Consents as ConsentsService,
} from '../../proto/behalf/authority/v1/authority.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { ConsentChanges } from './consent-changes.ts';
import type { Consent, Consents } from './consents.ts';

export interface ConsentServiceDeps {
  readonly trustDomain: TrustDomain;
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly changes: ConsentChanges;
  readonly subjectOf: (account: string) => string;
}

const MAX_REASON_CHARACTERS = 500;

/** Makes the service. */
export function serveConsents(deps: ConsentServiceDeps): Implementation<ConsentsService> {
  const { accounts, consents, changes, subjectOf, trustDomain } = deps;
  const message = (consent: Consent): ConsentMessage => ({
    ...consent,
    scopes: [...consent.scopes],
    deferrableS: consent.deferrable?.maxS ?? 0,
    deferrableUses: consent.deferrable?.uses ?? 0,
    account: accounts.nameOf(consent.account) ?? '',
    subject: subjectOf(consent.account),
  });
  const accountOf = (name: string): string => {
    const id = accounts.idOf(name);
    if (id === null) throw new BehalfError('not_found', { what: 'account', name: name.slice(0, 80) });
    return id;
  };
  const existing = (id: string): Consent => {
    const consent = consents.get(id);
    if (consent === null) throw new BehalfError('not_found', { what: 'consent', id: id.slice(0, 80) });
    return consent;
  };

  return {
    listConsents: ({ account }, caller) => {
      requireOperator(caller, trustDomain);
      return { consents: consents.list(account === '' ? null : accountOf(account)).map(message) };
    },
    consentHistory: ({ id }, caller) => {
      requireOperator(caller, trustDomain);
      const changesOfIt = consents.history(id).map((change) => ({ ...change, scopes: [...change.scopes] }));
      return { consent: message(existing(id)), changes: changesOfIt };
    },
    revokeConsent: async ({ id, reason }, caller) => {
      const operator = requireOperator(caller, trustDomain);
      if (reason.length > MAX_REASON_CHARACTERS)
        throw new BehalfError('request_malformed', { why: 'the reason is too long' });
      const { consent, number } = await changes.withdraw(id, operator, reason);
      return { consent: message(consent), number };
    },
    lookUpSubject: ({ account }, caller) => {
      requireOperator(caller, trustDomain);
      return { subject: subjectOf(accountOf(account)) };
    },
  };
}

/** Who calls, if it is an operator. @throws {BehalfError} `peer_unauthenticated`, `policy_denied` */
export function requireOperator(caller: Caller, trustDomain: TrustDomain): SpiffeId {
  const id = requireCaller(caller);
  if (trustDomainOf(id) !== trustDomain || !pathOf(id).startsWith('/behalf/operator/')) {
    throw new BehalfError('policy_denied', { caller: id, why: 'for operators' });
  }
  return id;
}
