/**
 * What ends at the token endpoints ends in the mesh too: a refresh token used twice, a revoked refresh token (both end their
 * grant) and a revoked access token (ends what was minted under its grant so far). The revocation is queued in the
 * transaction that takes the tokens back; the answer waits until it is stated. If we stop between, the next start states it.
 */
import type Provider from 'oidc-provider';
import type { Clock } from '../../identity/index.ts';
import type { Revocations } from '../consent/revocations.ts';

export interface RevocationEffects {
  /** Queues the revocation of a grant. Inside the transaction that takes its tokens back. */
  queue(grantId: string): void;
  /** Makes the provider's answers wait for what their requests took back. */
  holdAnswers(provider: Provider): void;
}

/** Ties the provider's revocations to live state. */
export function createRevocationEffects(revocations: Revocations, clock: Clock): RevocationEffects {
  const due = new Set<number>();
  return {
    queue: (grantId) => {
      const revocation = { kind: 'grant', value: grantId, before: Math.floor(clock()) } as const;
      due.add(revocations.queue(revocation, 'client', 'token revoked or used twice'));
    },
    holdAnswers: (provider) => {
      provider.use(async (_ctx, next) => {
        await next();
        // All that is due, also of requests beside this one: a number leaves the set when it is stated, and not before.
        for (const number of due) {
          await revocations.handOver(number);
          due.delete(number);
        }
      });
    },
  };
}
