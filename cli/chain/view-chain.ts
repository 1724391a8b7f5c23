/** A chain link by link, as facts without any token: what `chain show` tells and `chain diff` compares. Pure. */
import {
  type AuthorizationDetail,
  BUILT_IN_DETAIL_TYPES,
  type ChainHeaders,
  type ParsedChain,
  type ParsedRoot,
  parseChain,
  parseRoot,
  tellDetail,
} from '../../delegation/index.ts';

/** What a root says; times in seconds. */
export interface RootView {
  readonly txn: string;
  readonly sub: string;
  readonly client: string | null;
  readonly consent: { readonly id: string; readonly version: number } | null;
  readonly purpose: string | null;
  readonly scope: readonly string[];
  /** Entries of `authorization_details` in words; null where it has none. */
  readonly details: readonly string[] | null;
  readonly entry: string;
  /** Of work that was put off: the grant, and the transaction and depth that it goes on from. */
  readonly deferred: { readonly ref: string; readonly txn: string; readonly depth: number } | null;
  readonly iat: number;
  readonly exp: number;
  readonly issuer: string;
  readonly key: string;
}

/** What a link says, and what its WIT says of who signed it. */
export interface LinkView {
  readonly from: string;
  readonly to: string;
  readonly depth: number;
  readonly iat: number;
  readonly exp: number;
  /** What is left after it. */
  readonly scope: readonly string[];
  /** What it took away. */
  readonly dropped: readonly string[];
  /** What is left of the details, in words; null where the link leaves them as they are. */
  readonly details: readonly string[] | null;
  readonly maxDepth: number | null;
  readonly next: readonly string[] | null;
  readonly route: string | null;
  readonly once: boolean;
  readonly signer: {
    readonly id: string;
    readonly wit: string;
    readonly witKey: string;
    readonly witUntil: number;
    readonly certificate: string;
  };
}

export interface ChainView {
  readonly root: RootView;
  readonly links: readonly LinkView[];
  /** SHA-256 of each object's signing input, root first: equal where both chains share that very object. */
  readonly objects: readonly string[];
}

/**
 * Reads a chain, or the bare root where there are no links.
 * @throws {BehalfError} the codes of `parseChain`
 */
export function viewChain(headers: ChainHeaders): ChainView {
  if (headers.txnToken !== null && headers.delegationChain === null && headers.delegationCredentials === null) {
    const root = parseRoot(headers.txnToken);
    return { root: rootView(root), links: [], objects: [root.signingInputS256] };
  }
  const { root, hops } = parseChain(headers);
  return {
    root: rootView(root),
    links: linkViews(root, hops),
    objects: [root.signingInputS256, ...hops.map(({ link }) => link.signingInputS256)],
  };
}

function rootView({ claims, scope, kid }: ParsedRoot): RootView {
  const { txn, sub, tctx, req_wl, iat, exp, iss } = claims;
  return {
    txn,
    sub,
    client: tctx.client_id ?? null,
    consent: tctx.consent === undefined ? null : { id: tctx.consent.id, version: tctx.consent.version },
    purpose: tctx.purpose ?? null,
    scope,
    details: tellAll(tctx.authorization_details),
    entry: req_wl,
    deferred:
      tctx.deferred === undefined
        ? null
        : { ref: tctx.deferred.ref, txn: tctx.deferred.txn, depth: tctx.deferred.depth },
    iat,
    exp,
    issuer: iss,
    key: kid,
  };
}

function linkViews(root: ParsedRoot, hops: ParsedChain['hops']): LinkView[] {
  let left = root.scope;
  return hops.map(({ link, wit, holder }) => {
    const before = left;
    left = link.scope ?? left;
    const { aud, del_depth, iat, exp, del_max_depth, next, rte, once, authorization_details } = link.claims;
    return {
      from: holder,
      to: aud,
      depth: del_depth,
      iat,
      exp,
      scope: left,
      dropped: before.filter((scope) => !left.includes(scope)),
      details: tellAll(authorization_details),
      maxDepth: del_max_depth ?? null,
      next: next ?? null,
      route: rte ?? null,
      once: once !== undefined,
      signer: {
        id: wit.spiffeId,
        wit: wit.jti,
        witKey: wit.kid,
        witUntil: wit.exp,
        certificate: wit.certificateS256,
      },
    };
  });
}

/** What the last link leaves of the details, in words; null where the root has none. */
export function detailsLeft({ root, links }: Pick<ChainView, 'root' | 'links'>): readonly string[] | null {
  return links.findLast(({ details }) => details !== null)?.details ?? root.details;
}

/** Types that a policy registered are called by their name: a chain is told without its policy. */
function tellAll(details: readonly AuthorizationDetail[] | undefined): readonly string[] | null {
  return details?.map((entry) => tellDetail(entry, BUILT_IN_DETAIL_TYPES)) ?? null;
}
