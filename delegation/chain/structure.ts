/**
 * Step 3 of WIRE.md section 3, without the times: what can be judged without any signature. Each check goes over all links,
 * lowest first, before the next check begins; `verify-chain.ts` has their order.
 */
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { ChainPeer } from '../context.ts';
import type { DetailTypes } from '../details/detail-type.ts';
import { checkDetailsNarrow } from '../details/narrow-details.ts';
import { DEFAULT_MAX_DEPTH } from '../limits.ts';
import { checkScopeNarrows } from '../narrowing/scope.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import type { ParsedChain, ParsedHop } from './parsed-chain.ts';
import { checkWorkloadList } from './workload-list.ts';

/** What the links left of the root's authority. */
export interface Narrowed {
  readonly scope: readonly string[];
  readonly details: readonly AuthorizationDetail[] | null;
}

/** The last `aud` is this workload. @throws {BehalfError} `delegation_wrong_audience` */
export function checkLastAudience({ last }: ParsedChain, me: SpiffeId): void {
  const { aud } = last.link.claims;
  if (aud !== me) throw new BehalfError('delegation_wrong_audience', { aud, me });
}

/** The last WIT is the peer's own, and bound to the certificate of this connection. @throws `delegation_holder_mismatch` */
export function checkPresenter({ last }: ParsedChain, { spiffeId, certificateS256 }: ChainPeer): void {
  const { wit } = last;
  if (wit.spiffeId !== spiffeId) mismatch('the peer is not the last signer', wit.spiffeId, spiffeId);
  if (wit.certificateS256 !== certificateS256)
    mismatch('the last WIT is bound to another certificate', wit.spiffeId, spiffeId);
}

/** Each link's WIT is of the workload that held the chain. @throws {BehalfError} `delegation_holder_mismatch` */
export function checkSigners({ hops }: ParsedChain): void {
  for (const { wit, holder } of hops) {
    if (wit.spiffeId !== holder) mismatch('signed by a workload that did not hold the chain', wit.spiffeId, holder);
  }
}

/** `wth` is the hash of the WIT that came with the link. @throws {BehalfError} `delegation_broken_chain` */
export function checkCredentialHashes({ hops }: ParsedChain): void {
  for (let i = 0; i < hops.length; i++) {
    const { link, wit } = hops[i] as ParsedHop;
    if (link.claims.wth !== wit.s256) broken(i, '`wth` is another WIT’s');
  }
}

/** `par_hash` is the hash of the parent's signing input. @throws {BehalfError} `delegation_broken_chain` */
export function checkParentHashes({ root, hops }: ParsedChain): void {
  let parent = root.signingInputS256;
  for (let i = 0; i < hops.length; i++) {
    const { link } = hops[i] as ParsedHop;
    if (link.claims.par_hash !== parent) broken(i, '`par_hash` is another parent’s');
    parent = link.signingInputS256;
  }
}

/**
 * `del_depth` counts on by one, from the depth before a deferral; a limit only shrinks, and binds the link that states it too.
 * Gives the least limit.
 * @throws {BehalfError} `delegation_broken_chain`, `delegation_too_deep`
 */
export function checkDepths({ root, hops }: ParsedChain): number {
  const { max_depth, deferred } = root.claims.tctx;
  let depth = deferred?.depth ?? 0;
  let least = max_depth ?? DEFAULT_MAX_DEPTH;
  for (let i = 0; i < hops.length; i++) {
    const { del_depth, del_max_depth } = (hops[i] as ParsedHop).link.claims;
    depth++;
    if (del_depth !== depth) broken(i, '`del_depth` does not count on');
    if (del_max_depth !== undefined) {
      if (del_max_depth > least) refuseLink('delegation_too_deep', i, '`del_max_depth` is above the parent’s');
      least = del_max_depth;
    }
    if (del_depth > least) refuseLink('delegation_too_deep', i, 'deeper than its limit');
  }
  return least;
}

/** No workload more than twice, none twice in a row. @throws {BehalfError} `delegation_loop` */
export function checkList({ root, workloads }: ParsedChain): void {
  checkWorkloadList(root.claims.tctx.deferred?.wl ?? [], workloads);
}

/**
 * Every `aud` is in the `next` of each earlier link that has one, and of a deferred root.
 * @throws {BehalfError} `delegation_broken_chain`
 */
export function checkNext({ root, hops }: ParsedChain): void {
  const resumed = root.claims.tctx.deferred?.next;
  for (let i = 0; i < hops.length; i++) {
    const { aud } = (hops[i] as ParsedHop).link.claims;
    if (resumed?.includes(aud) === false) broken(i, '`aud` is not in the deferred root’s `next`');
  }
  for (let i = 1; i < hops.length; i++) {
    const { aud } = (hops[i] as ParsedHop).link.claims;
    for (let ancestor = 0; ancestor < i; ancestor++) {
      const { next } = (hops[ancestor] as ParsedHop).link.claims;
      if (next?.includes(aud) === false) broken(i, '`aud` is not in an ancestor’s `next`');
    }
  }
}

/** No `jti` twice. @throws {BehalfError} `delegation_broken_chain` */
export function checkDistinctIds({ hops }: ParsedChain): void {
  for (let i = 1; i < hops.length; i++) {
    const { jti } = (hops[i] as ParsedHop).link.claims;
    for (let earlier = 0; earlier < i; earlier++) {
      if ((hops[earlier] as ParsedHop).link.claims.jti === jti) broken(i, 'a `jti` twice');
    }
  }
}

/** Each link leaves a subset: scope over all links, then details. @throws {BehalfError} `delegation_scope_widened` */
export function checkNarrowing({ root, hops }: ParsedChain, types: DetailTypes): Narrowed {
  let scope = root.scope;
  for (let i = 0; i < hops.length; i++) {
    const { link } = hops[i] as ParsedHop;
    if (link.scope === null) continue;
    checkScopeNarrows(link.scope, scope, nameOf(i));
    scope = link.scope;
  }
  let details = root.claims.tctx.authorization_details ?? null;
  for (let i = 0; i < hops.length; i++) {
    const { authorization_details } = (hops[i] as ParsedHop).link.claims;
    if (authorization_details === undefined) continue;
    checkDetailsNarrow(authorization_details, details, types, nameOf(i));
    details = authorization_details;
  }
  return { scope, details };
}

function nameOf(index: number): string {
  return `link ${index + 1}`;
}

function refuseLink(code: ErrorCode, index: number, why: string): never {
  throw new BehalfError(code, { object: nameOf(index), why });
}

function broken(index: number, why: string): never {
  return refuseLink('delegation_broken_chain', index, why);
}

function mismatch(why: string, signer: SpiffeId, holder: SpiffeId): never {
  throw new BehalfError('delegation_holder_mismatch', { why, signer, holder });
}
