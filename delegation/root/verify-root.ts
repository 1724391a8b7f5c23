/** Judging a bare root in the hand of its entry workload, as it comes from the authority: no chain yet, so no peer and no link. */
import { BehalfError } from '../../errors/index.ts';
import { CHAIN_ID_BYTES, chainDigest } from '../chain/chain-id.ts';
import type { RootContext } from '../context.ts';
import { DEFAULT_MAX_DEPTH, MAX_ROOT_BYTES, MAX_ROOT_LIFE_S } from '../limits.ts';
import type { RevocableFacts } from '../revocation/index.ts';
import { checkBegun, checkLife, checkNotEnded } from '../times.ts';
import type { VerifiedRoot } from '../verified.ts';
import { checkLiveState, findRootKey, verifyRootSignature } from './check-root.ts';
import { describeRoot } from './describe-root.ts';
import { parseRoot } from './parse-root.ts';
import type { ParsedRoot } from './root-claims.ts';
import { rootFacts } from './root-facts.ts';

/**
 * Gives the root as what this workload now holds. The order is that of WIRE.md section 3, of the steps that a root has.
 * @throws {BehalfError} `delegation_too_large`, `delegation_malformed`, `delegation_holder_mismatch` (for another entry
 *   workload), `delegation_not_yet_valid`, `delegation_expired`, `revocation_stale`, `consent_withdrawn`, `delegation_revoked`,
 *   `delegation_bad_signature`, `delegation_wrong_audience`
 */
export function verifyRoot(compact: string, context: RootContext): VerifiedRoot {
  if (compact.length > MAX_ROOT_BYTES) {
    throw new BehalfError('delegation_too_large', { object: 'root', size: compact.length, limit: MAX_ROOT_BYTES });
  }
  const root = parseRoot(compact);
  const { req_wl, iat, exp } = root.claims;
  if (req_wl !== context.me) {
    throw new BehalfError('delegation_holder_mismatch', { why: 'a root for another entry workload', holder: req_wl });
  }
  const judge = { nowS: context.nowS, clock: context.clock, skewS: null };
  checkLife(iat, exp, MAX_ROOT_LIFE_S, 'root');
  checkBegun(iat, judge, 'root');
  checkNotEnded(exp, judge, 'root');
  const revocable: RevocableFacts = { root: rootFacts(root), signers: [] };
  checkLiveState(revocable, context);
  verifyRootSignature(root, findRootKey(root, context), context);
  return describe(root, revocable);
}

function describe(root: ParsedRoot, revocable: RevocableFacts): VerifiedRoot {
  const { req_wl, iat, exp, tctx } = root.claims;
  return {
    kind: 'root',
    ...describeRoot(root),
    chainId: chainDigest(root.compact, '', '').subarray(0, CHAIN_ID_BYTES),
    scope: root.scope,
    authorizationDetails: tctx.authorization_details ?? null,
    actors: [req_wl],
    holder: req_wl,
    depth: tctx.deferred?.depth ?? 0,
    maxDepth: tctx.max_depth ?? DEFAULT_MAX_DEPTH,
    next: tctx.deferred?.next === undefined ? [] : [tctx.deferred.next],
    expS: exp,
    revocable,
    parent: {
      signingInputS256: root.signingInputS256,
      iat,
      exp,
      workloadsBefore: tctx.deferred?.wl ?? [],
      workloads: [req_wl],
      links: 0,
      txnToken: root.compact,
      delegationChain: '',
      delegationCredentials: '',
    },
  };
}
