/**
 * Verifies a chain that was received, in exactly the order of WIRE.md section 3: first failure wins. Step 1 is `parseChain`,
 * step 2 the TLS peer's SVID (`identity/mtls`), both before; the hop id, policy and forwarding come after.
 */
import type { VerifyContext } from '../context.ts';
import { BUILT_IN_DETAIL_TYPES } from '../details/payment.ts';
import { checkLiveState } from '../root/check-root.ts';
import { describeRoot } from '../root/describe-root.ts';
import type { TimeJudge } from '../times.ts';
import type { VerifiedChain } from '../verified.ts';
import { checkRoute, takeOnce } from './binding.ts';
import { checkChainTimes } from './chain-times.ts';
import type { ParsedChain } from './parsed-chain.ts';
import { stillCounts, verifySignatures } from './signatures.ts';
import {
  checkCredentialHashes,
  checkDepths,
  checkDistinctIds,
  checkLastAudience,
  checkList,
  checkNarrowing,
  checkNext,
  checkParentHashes,
  checkPresenter,
  checkSigners,
  type Narrowed,
} from './structure.ts';

/**
 * Gives the chain as what this workload now holds, or refuses.
 * @throws {BehalfError} the codes of WIRE.md section 4 that its checks name, in their order
 */
export function verifyChain(parsed: ParsedChain, context: VerifyContext): VerifiedChain {
  // Step 3: without any signature
  checkLastAudience(parsed, context.me);
  checkPresenter(parsed, context.peer);
  checkSigners(parsed);
  checkCredentialHashes(parsed);
  checkParentHashes(parsed);
  const maxDepth = checkDepths(parsed);
  checkList(parsed);
  checkNext(parsed);
  checkDistinctIds(parsed);
  const left = checkNarrowing(parsed, context.detailTypes ?? BUILT_IN_DETAIL_TYPES);
  const expS = checkChainTimes(parsed, judgeOf(context));
  // Step 4
  checkLiveState(parsed.revocable, context);
  // Steps 5 and 6
  const chain = verifyOrRecall(parsed, context, left, maxDepth, expS);
  // Steps 7 and 8
  checkRoute(parsed, context.route);
  takeOnce(parsed, context);
  return chain;
}

function judgeOf({ nowS, clock, peer }: VerifyContext): TimeJudge {
  return { nowS, clock, skewS: peer.skewS ?? null };
}

/** INVARIANT: an entry answers steps 5 and 6 only; all other steps of this call have run, or still run. */
function verifyOrRecall(
  parsed: ParsedChain,
  context: VerifyContext,
  left: Narrowed,
  maxDepth: number,
  expS: number,
): VerifiedChain {
  const { cache, peer, issuer, audience, trustDomain } = context;
  if (cache === undefined) {
    context.beforeSignatures?.();
    verifySignatures(parsed, context);
    return describeChain(parsed, left, maxDepth, expS);
  }
  const known = cache.findChain(peer.spiffeId, parsed.digest);
  if (known !== null && stillCounts(known, context)) {
    known.recalled ??= { ...known.chain, fromCache: true };
    return known.recalled;
  }
  context.beforeSignatures?.();
  const keys = verifySignatures(parsed, context);
  const chain = describeChain(parsed, left, maxDepth, expS);
  if (comesAgain(parsed)) {
    cache.putChain(peer.spiffeId, parsed.digest, { chain, recalled: null, issuer, audience, trustDomain, ...keys });
  }
  return chain;
}

/** A link that is bound to one call is made anew for each (WIRE.md section 1): it would only take the room of others. */
function comesAgain({ last }: ParsedChain): boolean {
  return last.link.claims.rte === undefined && last.link.claims.once === undefined;
}

function describeChain(parsed: ParsedChain, left: Narrowed, maxDepth: number, expS: number): VerifiedChain {
  const { root, hops, last, workloads, revocable, chainId, txnToken, delegationChain, delegationCredentials } = parsed;
  const { claims } = last.link;
  return {
    kind: 'chain',
    ...describeRoot(root),
    chainId,
    scope: left.scope,
    authorizationDetails: left.details,
    actors: workloads.slice(0, -1),
    holder: claims.aud,
    depth: claims.del_depth,
    maxDepth,
    next: nextLists(parsed),
    expS,
    revocable,
    parent: {
      signingInputS256: last.link.signingInputS256,
      iat: claims.iat,
      exp: claims.exp,
      workloadsBefore: root.claims.tctx.deferred?.wl ?? [],
      workloads,
      links: hops.length,
      txnToken,
      delegationChain,
      delegationCredentials,
    },
    jti: claims.jti,
    rte: claims.rte ?? null,
    once: claims.once ?? null,
    fromCache: false,
  };
}

function nextLists({ root, hops }: ParsedChain): VerifiedChain['next'] {
  const lists: VerifiedChain['next'][number][] = [];
  const resumed = root.claims.tctx.deferred?.next;
  if (resumed !== undefined) lists.push(resumed);
  for (const { link } of hops) if (link.claims.next !== undefined) lists.push(link.claims.next);
  return lists;
}
