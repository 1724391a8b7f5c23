/**
 * The checks of WIRE.md section 3 one by one and in its order, for a person who wants to see each. They are the functions that
 * `verifyChain` runs; here none stops the next, and what cannot be judged offline says so. `check-list.test.ts` holds the list
 * against `verifyChain` on every vector.
 */
import type { KeyObject } from 'node:crypto';
import { checkRoute } from '../../delegation/chain/binding.ts';
import { checkChainTimes } from '../../delegation/chain/chain-times.ts';
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
} from '../../delegation/chain/structure.ts';
import {
  BUILT_IN_DETAIL_TYPES,
  type ChainHeaders,
  type ParsedChain,
  type ParsedHop,
  type ParsedRoot,
  parseChain,
  parseRoot,
} from '../../delegation/index.ts';
import { MAX_ROOT_LIFE_S } from '../../delegation/limits.ts';
import { checkBegun, checkLife, checkNotEnded } from '../../delegation/times.ts';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE, linkKeyOf, type SpiffeId, trustDomainOf, verifyEs256 } from '../../identity/index.ts';
import { attempt, type Check, notJudged, ok, refusedCheck, run, utc } from './check.ts';
import type { VerifyingKeys } from './verifying-keys.ts';

/** What the one who asks knows beside the chain; null where it is not known, then that check is not judged. */
export interface JudgeFacts {
  readonly nowS: number;
  readonly keys: VerifyingKeys;
  /** A `kid` that is not among the keys: refused, as a sidecar does, or not judged, where keys may have been taken out since. */
  readonly unknownKey: 'refused' | 'not_judged';
  readonly me: SpiffeId | null;
  readonly peer: { readonly spiffeId: SpiffeId; readonly certificateS256: string | null } | null;
  /** The route that was matched, which may be none. */
  readonly route: { readonly matched: string | null } | null;
  readonly myCertificateS256: string | null;
  /** What the record says of steps 4 and 9. */
  readonly liveState: string | null;
  readonly policy: string | null;
}

export interface Judged {
  readonly checks: readonly Check[];
  /** Null where the form is not right. */
  readonly chain: ParsedChain | null;
  readonly root: ParsedRoot | null;
}

/** `holds`: all signatures and rules that can be judged do. `undecided`: a signature could not be judged. */
export type Outcome =
  | { readonly kind: 'holds' }
  | { readonly kind: 'undecided' }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

/** Every check on the headers of one call. Never throws for what they carry. */
export function judgeChain(headers: ChainHeaders, facts: JudgeFacts): Judged {
  const parsed = attempt(() => parseChain(headers));
  if (!parsed.ok) {
    const form = refusedCheck(1, FORM, parsed.error);
    return {
      checks: [form, ...LATER.map(([step, check]) => notJudged(step, check, 'the form is not right'))],
      chain: null,
      root: null,
    };
  }
  const chain = parsed.value;
  const links = chain.hops.length === 1 ? '1 link with its WIT' : `${chain.hops.length} links with their WITs`;
  const checks = [
    ok(1, FORM, `a root and ${links}`),
    peerCheck(facts),
    ...structureChecks(chain, facts),
    liveStateCheck(facts),
    ...rootChecks(chain.root, facts),
    ...chain.hops.flatMap((hop, index) => signatureChecks(hop, index + 1, facts)),
    routeCheck(chain, facts),
    onceCheck(chain, facts),
    notJudged(8, 'the hop id is new', 'only the receiver keeps a window of those it has seen'),
    policyCheck(facts),
  ];
  return { checks, chain, root: chain.root };
}

/** The checks that a bare root has in the hand of its entry workload. */
export function judgeRoot(compact: string, facts: JudgeFacts): Judged {
  const parsed = attempt(() => parseRoot(compact));
  if (!parsed.ok) return { checks: [refusedCheck(1, FORM, parsed.error)], chain: null, root: null };
  const root = parsed.value;
  const { iat, exp, req_wl: entry } = root.claims;
  const judge = { nowS: facts.nowS, clock: DEFAULT_CLOCK_RULE, skewS: null };
  const checks = [
    ok(1, FORM, 'a bare root, as its entry workload gets it from the authority'),
    facts.me === null
      ? notJudged(3, 'its entry workload is the one that holds it', 'not known who held it')
      : run(3, 'its entry workload is the one that holds it', () => {
          if (entry !== facts.me) throw new BehalfError('delegation_holder_mismatch', { holder: entry, me: facts.me });
          return entry;
        }),
    run(3, TIMES, () => {
      checkLife(iat, exp, MAX_ROOT_LIFE_S, 'root');
      checkBegun(iat, judge, 'root');
      checkNotEnded(exp, judge, 'root');
      return `until ${utc(exp)}`;
    }),
    liveStateCheck(facts),
    ...rootChecks(root, facts),
    policyCheck(facts),
  ];
  return { checks, chain: null, root };
}

/** What the list comes to: the first refusal wins, as in WIRE.md section 3. */
export function outcomeOf(checks: readonly Check[]): Outcome {
  const refused = checks.find(({ verdict }) => verdict === 'refused');
  if (refused?.code != null) return { kind: 'refused', code: refused.code };
  const isProof = ({ step, check }: Check): boolean => step === 6 || step === 'log' || check === ROOT_SIGNATURE;
  const open = checks.some((one) => isProof(one) && one.verdict !== 'ok');
  return { kind: open ? 'undecided' : 'holds' };
}

const ROOT_SIGNATURE = 'root: signature';
const FORM = 'the three headers and every object in them have their form';
const PEER = 'the TLS peer’s certificate';
const TIMES = 'times of root, links and WITs';
const NARROWING = 'scope and details only shrink';
const DETAILS = 'details only shrink';
const LIVE_STATE = 'live state is fresh and nothing is revoked';
const ONCE = 'bound to one use';
const POLICY = 'policy allows the call';
const ROUTE = 'bound to the route';

interface StructureCheck {
  readonly check: string;
  judge(chain: ParsedChain, facts: JudgeFacts): unknown;
  /** What was seen, for the one who reads the list; called only where `judge` did not refuse. */
  readonly saw?: (chain: ParsedChain, judged: unknown) => string;
}

/** Step 3 in its order. */
const STRUCTURE: readonly StructureCheck[] = [
  {
    check: 'each link is signed by who held the chain',
    judge: checkSigners,
    saw: ({ hops }) => hops.map(({ holder }) => holder).join(', '),
  },
  { check: '`wth`: each link names its WIT', judge: checkCredentialHashes },
  { check: '`par_hash`: each link names its parent', judge: checkParentHashes },
  {
    check: 'depth',
    judge: checkDepths,
    saw: ({ last }, limit) => `${last.link.claims.del_depth} of at most ${limit}`,
  },
  { check: 'no workload more than twice, none twice in a row', judge: checkList },
  { check: '`next`: only workloads that were allowed', judge: checkNext },
  { check: 'every `jti` once', judge: checkDistinctIds },
  {
    check: NARROWING,
    judge: (chain) => checkNarrowing(chain, BUILT_IN_DETAIL_TYPES).scope.join(' '),
    saw: (_chain, left) => (left === '' ? 'no scope is left' : `left: ${left}`),
  },
  {
    check: TIMES,
    judge: (chain, { nowS }) => checkChainTimes(chain, { nowS, clock: DEFAULT_CLOCK_RULE, skewS: null }),
    saw: (_chain, endS) => `until ${utc(Number(endS))}`,
  },
];

const AUDIENCE = 'the last link hands it to me';
const PRESENTER = 'the peer is the last signer';

const LATER: readonly (readonly [Check['step'], string])[] = [
  [2, PEER],
  [3, AUDIENCE],
  [3, PRESENTER],
  ...STRUCTURE.map(({ check }) => [3, check] as const),
  [4, LIVE_STATE],
  [5, ROOT_SIGNATURE],
  [6, 'WITs and links: signatures'],
  [7, ROUTE],
  [8, ONCE],
  [9, POLICY],
];

function structureChecks(chain: ParsedChain, facts: JudgeFacts): Check[] {
  return [
    audienceCheck(chain, facts),
    presenterCheck(chain, facts),
    ...STRUCTURE.flatMap(({ check, judge, saw }) => {
      const judged = (of: ParsedChain) =>
        run(3, check, () => {
          const seen = judge(of, facts);
          return saw?.(of, seen) ?? '';
        });
      // A recorded chain was judged with the types of its policy; whoever pastes one has none.
      const isRecorded = facts.unknownKey === 'not_judged';
      if (check !== NARROWING || !isRecorded || !narrowsForeignTypes(chain)) return [judged(chain)];
      return [judged(withoutDetails(chain)), notJudged(3, DETAILS, 'of a type that the mesh’s policy registers')];
    }),
  ];
}

/** Whether a link narrows details of a type that is not of the format itself: its rule stands in the policy of its time. */
function narrowsForeignTypes({ hops }: ParsedChain): boolean {
  return hops.some(({ link }) =>
    link.claims.authorization_details?.some(({ type }) => !BUILT_IN_DETAIL_TYPES.has(type)),
  );
}

/** For the judgement of the scope alone. */
function withoutDetails(chain: ParsedChain): ParsedChain {
  const hops = chain.hops.map((hop) => {
    const { authorization_details: _, ...claims } = hop.link.claims;
    return { ...hop, link: { ...hop.link, claims } };
  });
  return { ...chain, hops };
}

function peerCheck({ peer }: JudgeFacts): Check {
  const why =
    peer === null ? 'there is no connection here' : `${peer.spiffeId} is taken as given; a connection would prove it`;
  return notJudged(2, PEER, why);
}

function audienceCheck(chain: ParsedChain, { me }: JudgeFacts): Check {
  const { aud } = chain.last.link.claims;
  if (me === null) return notJudged(3, AUDIENCE, `it hands it to ${aud}; --me says who I am`);
  return run(3, AUDIENCE, () => {
    checkLastAudience(chain, me);
    return aud;
  });
}

function presenterCheck(chain: ParsedChain, { peer }: JudgeFacts): Check {
  const { spiffeId, certificateS256 } = chain.last.wit;
  if (peer === null) return notJudged(3, PRESENTER, `the last signer is ${spiffeId}; --peer says who presents it`);
  const certificate = peer.certificateS256 ?? certificateS256;
  return run(3, PRESENTER, () => {
    checkPresenter(chain, { spiffeId: peer.spiffeId, certificateS256: certificate });
    return peer.certificateS256 === null ? `${spiffeId}; its certificate is not known here` : spiffeId;
  });
}

function liveStateCheck({ liveState }: JudgeFacts): Check {
  return notJudged(4, LIVE_STATE, liveState ?? 'only sidecars and the record know what is revoked');
}

function policyCheck({ policy }: JudgeFacts): Check {
  return notJudged(9, POLICY, policy ?? 'the receiver’s policy snapshot is not here');
}

/** Step 5: `kid`, signature, `iss`, `aud`. */
function rootChecks({ kid, signature, signingInput, claims }: ParsedRoot, { keys, unknownKey }: JudgeFacts): Check[] {
  const { issuer, audience, rootKeys } = keys;
  return [
    signatureCheck(5, 'root', kid, rootKeys, unknownKey, (key) => verifyEs256(signingInput, signature, key)),
    issuer === null
      ? notJudged(5, 'root: issuer', `${claims.iss}; --issuer says what it must be`)
      : run(5, 'root: issuer', () => {
          if (claims.iss !== issuer)
            throw new BehalfError('delegation_bad_signature', { object: 'root', why: 'another issuer' });
          return issuer;
        }),
    audience === null
      ? notJudged(5, 'root: audience', `${claims.aud}; --audience says what it must be`)
      : run(5, 'root: audience', () => {
          if (claims.aud !== audience)
            throw new BehalfError('delegation_wrong_audience', { object: 'root', why: 'a root for another mesh' });
          return audience;
        }),
  ];
}

/** Step 6: the WIT's signature, then the link's own by the key that the WIT vouches for. */
function signatureChecks({ link, wit }: ParsedHop, n: number, { keys, unknownKey }: JudgeFacts): Check[] {
  const { trustDomain, witKeys } = keys;
  // The key is looked up within the trust domain of the WIT's `sub`, never in another one's bundle.
  const known = trustDomain === null || trustDomainOf(wit.spiffeId) === trustDomain ? witKeys : NO_KEYS;
  return [
    signatureCheck(6, `WIT ${n}`, wit.kid, known, unknownKey, (key) =>
      verifyEs256(wit.signingInput, wit.signature, key),
    ),
    run(6, `link ${n}: signature`, () => {
      const key = linkKeyOf(wit);
      if (key === null || !verifyEs256(link.signingInput, link.signature, key))
        throw new BehalfError('delegation_bad_signature', { object: `link ${n}` });
      return `by ${wit.spiffeId} with the key of its WIT`;
    }),
  ];
}

const NO_KEYS: ReadonlyMap<string, KeyObject> = new Map();

function signatureCheck(
  step: number,
  object: string,
  kid: string,
  keys: ReadonlyMap<string, KeyObject>,
  unknownKey: JudgeFacts['unknownKey'],
  verify: (key: KeyObject) => boolean,
): Check {
  const check = `${object}: signature`;
  const key = keys.get(kid);
  if (key === undefined && unknownKey === 'not_judged') {
    return notJudged(step, check, `key \`${kid.slice(0, 64)}\` is no longer in the bundle`);
  }
  return run(step, check, () => {
    if (key === undefined)
      throw new BehalfError('delegation_bad_signature', { object, why: 'unknown key', kid: kid.slice(0, 64) });
    if (!verify(key)) throw new BehalfError('delegation_bad_signature', { object });
    return `by key \`${kid.slice(0, 64)}\``;
  });
}

function routeCheck(chain: ParsedChain, { route }: JudgeFacts): Check {
  const { rte } = chain.last.link.claims;
  if (rte === undefined) return ok(7, ROUTE, 'it is bound to none');
  if (route === null)
    return notJudged(7, ROUTE, `it is bound to ${rte.slice(0, 200)}; --route says which one was called`);
  return run(7, ROUTE, () => {
    checkRoute(chain, route.matched);
    return rte.slice(0, 200);
  });
}

function onceCheck(chain: ParsedChain, { myCertificateS256 }: JudgeFacts): Check {
  const { once } = chain.last.link.claims;
  if (once === undefined) return ok(8, ONCE, 'it is not');
  if (myCertificateS256 === null) return notJudged(8, ONCE, 'it is, by one pod; --my-certificate says which one I am');
  if (once !== myCertificateS256)
    return refusedCheck(8, ONCE, new BehalfError('delegation_wrong_audience', { why: '`once` names another pod' }));
  return notJudged(8, ONCE, 'it is, by this pod; whether that was done, only it remembers');
}
