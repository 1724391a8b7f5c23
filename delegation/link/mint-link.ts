/**
 * Making links: what a sidecar signs when it passes a delegation on (WIRE.md section 1). It refuses to sign what the receiver
 * would refuse, and never signs more than it holds.
 */
import type { KeyObject } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { signCompactJws } from '../../identity/jws.ts';
import { type SpiffeId, trustDomainOf } from '../../identity/spiffe-id.ts';
import { CHAIN_ID_BYTES, chainDigest } from '../chain/chain-id.ts';
import { checkWorkloadList } from '../chain/workload-list.ts';
import type { DetailTypes } from '../details/detail-type.ts';
import { checkDetailsNarrow } from '../details/narrow-details.ts';
import { BUILT_IN_DETAIL_TYPES } from '../details/payment.ts';
import { JTI_BYTES, MAX_LINK_BYTES, MAX_LINK_LIFE_S, MAX_LINKS, MAX_TOTAL_BYTES, MAX_WIT_BYTES } from '../limits.ts';
import { checkScopeNarrows, formatScope } from '../narrowing/scope.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import type { VerifiedChain, VerifiedRoot } from '../verified.ts';
import { LINK_TYP, type LinkClaims } from './link-claims.ts';

/** Who signs. An `IssuedIdentity` fits. */
export interface LinkSigner {
  readonly spiffeId: SpiffeId;
  /** Compact form, base64url SHA-256 of it, and its end in seconds. */
  readonly wit: string;
  readonly witS256: string;
  readonly witExpS: number;
  /** Private key that the WIT's `cnf` names. */
  readonly witKey: KeyObject;
}

/** What to sign. Each optional member only narrows. */
export interface LinkOrder {
  readonly parent: VerifiedRoot | VerifiedChain;
  /** Whom it is handed to: the SPIFFE ID that the peer has proved. */
  readonly to: SpiffeId;
  readonly signer: LinkSigner;
  /** Our clock in seconds. */
  readonly nowS: number;
  /** 12 random bytes. */
  readonly jti: Buffer;
  /** What to leave of the scope: a subset of the parent's, each token once. Null or absent: all of it. */
  readonly narrowTo?: readonly string[] | null;
  /** What to leave of the details; null or absent: all of them. */
  readonly details?: readonly AuthorizationDetail[] | null;
  /** The registered types; absent: those of the format itself. */
  readonly detailTypes?: DetailTypes;
  readonly maxDepth?: number | null;
  /** Every later receiver has to be one of these. */
  readonly next?: readonly SpiffeId[] | null;
  /** `"<METHOD> <template>"`. */
  readonly rte?: string | null;
  /** base64url SHA-256 of the receiver's TLS certificate. */
  readonly once?: string | null;
}

/** A chain ready to be sent, and what its receiver will have. */
export interface OutgoingChain {
  readonly txnToken: string;
  readonly delegationChain: string;
  readonly delegationCredentials: string;
  /** 16 bytes, by the slot formula of WIRE.md section 2: both sides' events name the chain by it. */
  readonly chainId: Buffer;
  readonly scope: readonly string[];
  readonly expS: number;
  readonly depth: number;
  readonly jti: string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Appends a link: `iat = max(now, parent.iat)`, `exp = min(iat + 60, parent.exp, own WIT's exp)`.
 * @throws {BehalfError} `delegation_holder_mismatch` where the signer does not hold the parent; `delegation_expired` where no
 *   time is left to sign; `delegation_scope_widened`, `delegation_too_deep`, `delegation_loop`, `delegation_broken_chain` (`to`
 *   is not in an ancestor's `next`), `delegation_malformed`, `delegation_too_large`: what the receiver would refuse
 */
export function mintLink(order: LinkOrder): OutgoingChain {
  const { parent, to, signer, jti } = order;
  checkHolder(order);
  const depth = checkDepth(order);
  checkWorkloadList(parent.parent.workloadsBefore, [...parent.parent.workloads, to]);
  checkNext(order);
  const scope = narrowedScope(order);
  checkDetails(order);
  const { iat, exp } = timesOf(order);
  if (jti.length !== JTI_BYTES) throw new BehalfError('delegation_malformed', { why: `a jti has ${JTI_BYTES} bytes` });

  const claims: Writable<LinkClaims> = {
    par_hash: parent.parent.signingInputS256,
    aud: to,
    iat,
    exp,
    jti: jti.toString('base64url'),
    del_depth: depth,
    wth: signer.witS256,
  };
  addLimits(claims, order, scope);
  const link = signCompactJws({ typ: LINK_TYP, alg: 'ES256' }, claims, signer.witKey);
  return checkedOutgoing(order, claims, link, scope);
}

function checkHolder({ parent, to, signer }: LinkOrder): void {
  if (signer.spiffeId !== parent.holder) {
    throw new BehalfError('delegation_holder_mismatch', { signer: signer.spiffeId, holder: parent.holder });
  }
  if (trustDomainOf(to) !== trustDomainOf(parent.holder)) {
    throw new BehalfError('delegation_malformed', { why: 'a receiver of another trust domain', to });
  }
}

function checkDepth({ parent, maxDepth }: LinkOrder): number {
  const depth = parent.depth + 1;
  const limit = Math.min(parent.maxDepth, maxDepth ?? parent.maxDepth);
  if ((maxDepth ?? 0) > parent.maxDepth || depth > limit)
    throw new BehalfError('delegation_too_deep', { depth, limit });
  if (parent.parent.links >= MAX_LINKS) {
    throw new BehalfError('delegation_too_large', { object: 'links', size: parent.parent.links + 1, limit: MAX_LINKS });
  }
  return depth;
}

function checkNext({ parent, to }: LinkOrder): void {
  for (const allowed of parent.next) {
    if (!allowed.includes(to))
      throw new BehalfError('delegation_broken_chain', { why: 'not an allowed next workload', to });
  }
}

function narrowedScope({ parent, narrowTo }: LinkOrder): readonly string[] {
  if (narrowTo === null || narrowTo === undefined) return parent.scope;
  if (new Set(narrowTo).size !== narrowTo.length)
    throw new BehalfError('delegation_malformed', { why: 'a scope twice' });
  checkScopeNarrows(narrowTo, parent.scope, 'link');
  // A subset of the same size is the same set: the link then leaves the claim out, and can be reused.
  return narrowTo.length === parent.scope.length ? parent.scope : narrowTo;
}

function checkDetails({ parent, details, detailTypes }: LinkOrder): void {
  if (details === null || details === undefined) return;
  checkDetailsNarrow(details, parent.authorizationDetails, detailTypes ?? BUILT_IN_DETAIL_TYPES, 'link');
}

/** The grace for expired tokens is for verifying: here the end has to be in the future. */
function timesOf({ parent, signer, nowS }: LinkOrder): { iat: number; exp: number } {
  const iat = Math.max(Math.floor(nowS), parent.parent.iat);
  const exp = Math.min(iat + MAX_LINK_LIFE_S, parent.parent.exp, signer.witExpS);
  if (!(exp > nowS && exp > iat)) {
    const { exp: parentExp } = parent.parent;
    throw new BehalfError('delegation_expired', {
      why: 'no time is left to sign',
      nowS,
      parentExp,
      witExpS: signer.witExpS,
    });
  }
  return { iat, exp };
}

function addLimits(claims: Writable<LinkClaims>, order: LinkOrder, scope: readonly string[]): void {
  const { parent, details, maxDepth, next, rte, once } = order;
  if (scope !== parent.scope) claims.scope = formatScope(scope);
  if (details !== null && details !== undefined) claims.authorization_details = details;
  if (maxDepth !== null && maxDepth !== undefined) claims.del_max_depth = maxDepth;
  if (next !== null && next !== undefined) claims.next = next;
  if (rte !== null && rte !== undefined) claims.rte = rte;
  if (once !== null && once !== undefined) claims.once = once;
}

/** A sidecar that would exceed a limit refuses before it sends. */
function checkedOutgoing(order: LinkOrder, claims: LinkClaims, link: string, scope: readonly string[]): OutgoingChain {
  const { parent, signer } = order;
  const { txnToken, links } = parent.parent;
  const delegationChain = links === 0 ? link : `${parent.parent.delegationChain}, ${link}`;
  const delegationCredentials = links === 0 ? signer.wit : `${parent.parent.delegationCredentials}, ${signer.wit}`;
  checkSize('link', link.length, MAX_LINK_BYTES);
  checkSize('wit', signer.wit.length, MAX_WIT_BYTES);
  checkSize('headers', txnToken.length + delegationChain.length + delegationCredentials.length, MAX_TOTAL_BYTES);
  return {
    txnToken,
    delegationChain,
    delegationCredentials,
    chainId: chainDigest(txnToken, delegationChain, delegationCredentials).subarray(0, CHAIN_ID_BYTES),
    scope,
    expS: claims.exp,
    depth: claims.del_depth,
    jti: claims.jti,
  };
}

function checkSize(object: string, size: number, limit: number): void {
  if (size > limit) throw new BehalfError('delegation_too_large', { object, size, limit });
}
