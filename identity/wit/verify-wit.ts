/** Judging a WIT that stands alone, such as one's own after issuance. In a chain `delegation/` judges it, in its order. */
import type { KeyObject } from 'node:crypto';
import type { ClockRule } from '../clock.ts';
import { refuse, verifyEs256 } from '../jws.ts';
import { type TrustDomain, trustDomainOf } from '../spiffe-id.ts';
import { linkKeyOf, parseWit, type VerifiedWit, WIT_REFUSAL } from './wit.ts';

export interface WitContext {
  /** Only WITs of this domain; its bundle's `wit-svid` entries are the only keys asked. */
  readonly trustDomain: TrustDomain;
  witKey(kid: string): KeyObject | null;
  /** Our clock in seconds. */
  readonly nowS: number;
  readonly clock: ClockRule;
}

/**
 * Reads and verifies a WIT: trust domain, times, key, signature, in that order.
 * @throws {BehalfError} `wit_invalid`, with the reason in `why`
 */
export function verifyWit(compact: string, { trustDomain, witKey, nowS, clock }: WitContext): VerifiedWit {
  const wit = parseWit(compact);
  const { spiffeId, iat, nbf, exp } = wit;
  if (trustDomainOf(spiffeId) !== trustDomain) refuse(WIT_REFUSAL, 'of another trust domain');
  if (!(iat < exp && nbf <= iat)) refuse(WIT_REFUSAL, 'times out of order');
  if (!(nbf <= nowS + clock.aheadS)) refuse(WIT_REFUSAL, 'not valid yet');
  if (!(exp + clock.graceS > nowS)) refuse(WIT_REFUSAL, 'expired');
  const key = witKey(wit.kid);
  if (key === null) return refuse(WIT_REFUSAL, 'signed with an unknown key');
  if (!verifyEs256(wit.signingInput, wit.signature, key)) refuse(WIT_REFUSAL, 'signature does not verify');
  const linkKey = linkKeyOf(wit);
  if (linkKey === null) return refuse(WIT_REFUSAL, 'its key is no point of P-256');
  const { s256, kid, jti, certificateS256 } = wit;
  return { compact, s256, kid, spiffeId, iat, nbf, exp, jti, certificateS256, linkKey };
}
