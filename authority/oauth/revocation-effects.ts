/**
 * What ends at the token endpoints ends in the mesh too: a refresh token used twice, a revoked refresh token (both end their
 * grant) and a revoked access token (ends what was minted under its grant so far). The answer waits until that is stated.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Clock } from '../../identity/index.ts';
import type { Revocations } from '../consent/revocations.ts';

export interface RevocationEffectDeps {
  readonly provider: Provider;
  readonly revocations: Revocations;
  readonly clock: Clock;
}

/** Ties the provider's revocations to live state. */
export function followRevocations({ provider, revocations, clock }: RevocationEffectDeps): void {
  const due = new WeakMap<object, number[]>();

  const queue = (ctx: object, grantId: string, reason: string): void => {
    const revocation = { kind: 'grant', value: grantId, before: Math.floor(clock()) } as const;
    due.set(ctx, [...(due.get(ctx) ?? []), revocations.queue(revocation, 'client', reason)]);
  };

  provider.on('grant.revoked', (ctx, grantId) => {
    queue(ctx, grantId, ctx.oidc.route === 'revocation' ? 'refresh token revoked' : 'token used twice');
  });
  provider.use(async (ctx, next) => {
    await next();
    const { oidc } = ctx as Partial<KoaContextWithOIDC>;
    const { AccessToken } = oidc?.entities ?? {};
    if (oidc?.route === 'revocation' && AccessToken?.grantId !== undefined)
      queue(ctx, AccessToken.grantId, 'access token revoked');
    for (const number of due.get(ctx) ?? []) await revocations.handOver(number);
  });
}
