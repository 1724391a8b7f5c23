/** What a revocation can hit in a root. */
import type { RootFacts } from '../revocation/index.ts';
import type { ParsedRoot } from './root-claims.ts';

export function rootFacts({ kid, claims }: ParsedRoot): RootFacts {
  const { iat, txn, sub, tctx } = claims;
  return {
    iat,
    kid,
    txn,
    sub,
    client: tctx.client_id ?? null,
    consent: tctx.consent?.id ?? null,
    consentVersion: tctx.consent?.version ?? null,
    grant: tctx.grant ?? null,
    deferred: tctx.deferred?.ref ?? null,
  };
}
