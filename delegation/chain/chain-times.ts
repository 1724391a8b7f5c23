/** The times of a chain (WIRE.md section 3, step 3, last part): object by object, root first. */
import { BehalfError } from '../../errors/index.ts';
import { MAX_LINK_LIFE_S, MAX_ROOT_LIFE_S } from '../limits.ts';
import { checkBegun, checkLife, checkNotEnded, type TimeJudge } from '../times.ts';
import type { ParsedChain, ParsedHop } from './parsed-chain.ts';

/**
 * Gives the least end in seconds.
 * @throws {BehalfError} `delegation_malformed` (life), `delegation_not_yet_valid`, `delegation_broken_chain` (outside the
 *   parent's or the WIT's), `delegation_expired`
 */
export function checkChainTimes({ root, hops }: ParsedChain, judge: TimeJudge): number {
  let { iat: parentIat, exp: parentExp } = root.claims;
  checkLife(parentIat, parentExp, MAX_ROOT_LIFE_S, 'root');
  checkBegun(parentIat, judge, 'root');
  checkNotEnded(parentExp, judge, 'root');
  for (let i = 0; i < hops.length; i++) {
    const { link, wit } = hops[i] as ParsedHop;
    const { iat, exp } = link.claims;
    const object = `link ${i + 1}`;
    checkLife(iat, exp, MAX_LINK_LIFE_S, object);
    checkBegun(iat, judge, object);
    if (!(parentIat <= iat && exp <= parentExp)) broken(object, 'outside its parent’s time');
    checkNotEnded(exp, judge, object);
    if (!(wit.nbf <= iat && exp <= wit.exp)) broken(object, 'outside its WIT’s time');
    parentIat = iat;
    parentExp = exp;
  }
  // INVARIANT: no link ends after its parent, so the last one ends first.
  return parentExp;
}

function broken(object: string, why: string): never {
  throw new BehalfError('delegation_broken_chain', { object, why });
}
