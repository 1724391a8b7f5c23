/**
 * What was taken back of other issuers' tokens. They are not ours to remove and most were never seen here, so that each is judged by when
 * it was made: what came before the end of its grant, its user, its client or of a consent of these brings nothing any more.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Consent, Consents } from '../consent/consents.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import { TOLERANCE_S } from './read-token.ts';

/** The name in `OAuthStore.endUpstream` of all that a user's tokens bring. */
export function accountName(account: string): string {
  return `account ${account}`;
}

/** The same of a client's tokens. */
export function clientName(clientId: string): string {
  return `client ${clientId}`;
}

export interface TokenOrigin {
  readonly account: string;
  readonly clientId: string;
  /** When it was made, by its issuer's clock. */
  readonly iatS: number;
}

export interface TakenBackDeps {
  readonly consents: Pick<Consents, 'list' | 'history'>;
  readonly oauth: Pick<OAuthStore, 'endedS'>;
}

/** When a withdrawn consent was. */
export function withdrawnS(consents: Pick<Consents, 'history'>, { id }: Pick<Consent, 'id'>): number {
  return consents.history(id).at(-1)?.atS ?? Number.POSITIVE_INFINITY;
}

/**
 * Checks that nothing that the token rests on was taken back since it was made. `grantId` is null before it has a grant.
 * @throws {BehalfError} `consent_withdrawn`, `entry_token_invalid`
 */
export function checkNotTakenBack(
  { consents, oauth }: TakenBackDeps,
  { account, clientId, iatS }: TokenOrigin,
  grantId: string | null,
): void {
  // Their clock may be ahead of ours by this much, and a token from before would seem made after.
  const isBefore = (endedS: number): boolean => !(iatS - TOLERANCE_S > endedS);
  for (const consent of consents.list(account)) {
    if (consent.clientId !== clientId || consent.state !== 'withdrawn') continue;
    if (isBefore(withdrawnS(consents, consent))) throw new BehalfError('consent_withdrawn', {});
  }
  for (const name of [accountName(account), clientName(clientId), ...(grantId === null ? [] : [grantId])]) {
    const endedS = oauth.endedS(name);
    if (endedS !== null && isBefore(endedS)) throw new BehalfError('entry_token_invalid', { why: 'revoked' });
  }
}
