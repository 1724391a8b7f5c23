/** Steps 7 and 8 of WIRE.md section 3: what binds the last link to one route, and to one use at one pod. */
import { BehalfError } from '../../errors/index.ts';
import type { VerifyContext } from '../context.ts';
import type { ParsedChain } from './parsed-chain.ts';

/** The last link's `rte` is the route that was matched. @throws {BehalfError} `delegation_wrong_route` */
export function checkRoute({ last }: ParsedChain, route: string | null): void {
  const { rte } = last.link.claims;
  if (rte !== undefined && rte !== route) throw new BehalfError('delegation_wrong_route', { route });
}

/**
 * A `once` link names this pod's certificate, and its `jti` is taken for the first time.
 * @throws {BehalfError} `delegation_wrong_audience`, `delegation_replayed`, `delegation_replay_store_full`
 */
export function takeOnce({ last }: ParsedChain, context: VerifyContext): void {
  const { once, jti, iat, exp } = last.link.claims;
  if (once === undefined) return;
  if (once !== context.myCertificateS256) {
    throw new BehalfError('delegation_wrong_audience', { why: '`once` names another pod' });
  }
  if (context.onceStore === null) {
    throw new BehalfError('delegation_replay_store_full', { why: 'once-only links are not remembered here' });
  }
  context.onceStore.take({ peer: context.peer.spiffeId, jti, iat, exp }, context.nowS);
}
