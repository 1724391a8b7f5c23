/** What a root says about whose authority it is; the part of a delegation that no link changes. */
import type { Delegation } from '../verified.ts';
import type { ParsedRoot } from './root-claims.ts';

type RootDescription = Pick<Delegation, 'txn' | 'sub' | 'clientId' | 'consent' | 'grant' | 'purpose' | 'acr' | 'iat'>;

export function describeRoot({ claims }: ParsedRoot): RootDescription {
  const { txn, sub, tctx, iat } = claims;
  return {
    txn,
    sub,
    clientId: tctx.client_id ?? null,
    consent: tctx.consent ?? null,
    grant: tctx.grant ?? null,
    purpose: tctx.purpose ?? null,
    acr: tctx.acr ?? null,
    iat,
  };
}
