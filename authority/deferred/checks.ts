/** What has to hold for work to be put off, and again each time that it is taken up. */
import type { VerifiedChain, VerifiedRoot } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Clock, SpiffeId } from '../../identity/index.ts';
import type { CompiledSnapshot } from '../../policy/index.ts';
import type { Consent, Consents, Deferrable } from '../consent/consents.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import type { DeferredGrant } from './grant.ts';

export interface CheckDeps {
  readonly policy: () => CompiledSnapshot | null;
  readonly consents: Consents;
  readonly oauth: OAuthStore;
  /** Whether user and client are still configured, and not banned. */
  readonly stands: (account: string, clientId: string) => boolean;
  readonly accountOf: (subject: string) => string | null;
  readonly clock: Clock;
}

/** What a grant rests on. */
export type GrantNames = Pick<DeferredGrant, 'consent' | 'account' | 'clientId' | 'grantId'>;
export type DeferrableConsent = Consent & { readonly deferrable: Deferrable };

/** The policy has to let the workload. @throws {BehalfError} `snapshot_stale`, `policy_denied` */
export function checkPolicy({ policy, clock }: CheckDeps, workload: SpiffeId): CompiledSnapshot {
  const compiled = policy();
  if (compiled === null || !(clock() < compiled.validUntilS)) throw new BehalfError('snapshot_stale', {});
  const { workloads } = compiled.snapshot;
  if (!Object.hasOwn(workloads, workload) || workloads[workload]?.deferrable !== true)
    throw new BehalfError('policy_denied', { workload, why: 'it may not put work off' });
  return compiled;
}

/** The user has to. @throws {BehalfError} `consent_withdrawn`, `deferred_expired`, `delegation_revoked`, `not_deferrable` */
export function checkConsent(
  deps: CheckDeps,
  { consent: id, account, clientId, grantId }: GrantNames,
): DeferrableConsent {
  const consent = deps.consents.get(id);
  if (consent === null || consent.account !== account || deps.consents.ofGrant(grantId)?.id !== id)
    throw new BehalfError('delegation_revoked', { kind: 'grant' });
  if (consent.state === 'withdrawn') throw new BehalfError('consent_withdrawn', {});
  if (consent.state !== 'active' || !(deps.clock() < consent.untilS))
    throw new BehalfError('deferred_expired', { untilS: consent.untilS });
  if (!deps.stands(account, clientId)) throw new BehalfError('delegation_revoked', { why: 'user or client is gone' });
  if (deps.oauth.find('Grant', grantId) === undefined) throw new BehalfError('delegation_revoked', { kind: 'grant' });
  if (consent.deferrable === null) throw new BehalfError('not_deferrable', { why: 'the user has not agreed to it' });
  return { ...consent, deferrable: consent.deferrable };
}

/** The grant itself has to stand. @throws {BehalfError} why it does not */
export function checkState({ state, untilS, id }: DeferredGrant, nowS: number, consent: Consent | null): void {
  switch (state) {
    case 'standing':
      if (!(nowS < untilS)) throw new BehalfError('deferred_expired', { id, untilS, nowS });
      break;
    case 'used':
      throw new BehalfError('deferred_exhausted', { id });
    case 'expired':
      throw new BehalfError('deferred_expired', { id, untilS, nowS });
    case 'revoked':
      throw new BehalfError(consent?.state === 'withdrawn' ? 'consent_withdrawn' : 'delegation_revoked', { id });
    case 'cancelled':
      throw new BehalfError('delegation_revoked', { id, kind: 'deferred' });
    default:
      state satisfies never;
  }
}

/**
 * Whose delegation it is.
 * @throws {BehalfError} `not_deferrable` for a workload's own authority, and for work that was put off once already
 */
export function namesOf({ accountOf }: CheckDeps, held: VerifiedRoot | VerifiedChain): GrantNames {
  const { clientId, consent, grant, sub } = held;
  if (clientId === null || consent === null || grant === null)
    throw new BehalfError('not_deferrable', { why: 'a workload’s own authority' });
  // Else each use could be put off anew, and neither time nor uses would have an end.
  if (held.revocable.root?.deferred !== null) throw new BehalfError('not_deferrable', { why: 'it was put off before' });
  const account = accountOf(sub);
  if (account === null) throw new BehalfError('delegation_revoked', { kind: 'sub' });
  return { consent: consent.id, account, clientId, grantId: grant };
}
