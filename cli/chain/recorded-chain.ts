/**
 * The chain that a recorded call ran on, out of the record, with what the record knows about it: both sides' events, what was
 * revoked, and whether the log commits to it.
 */
import { chainIdOf, decodeEvent, partEvent } from '../../audit/event/index.ts';
import { type ChainHeaders, parseChain, parseRoot, type RevocableFacts } from '../../delegation/index.ts';
import { rootFacts } from '../../delegation/root/root-facts.ts';
import { BehalfError } from '../../errors/index.ts';
import { type MeshBundle, parseSpiffeId, sha256Base64url } from '../../identity/index.ts';
import type { ChainBody, Hop, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { instant } from '../draw/words.ts';
import { type HopView, joinHops, type SideReport, text } from '../hops/hop-view.ts';
import { proveInclusion } from '../hops/prove-inclusion.ts';
import { listEvents, listHops, type QueryClient } from '../hops/query.ts';
import { attempt, type Check, notJudged, ok, refusedCheck, run } from './check.ts';
import { type Judged, type JudgeFacts, judgeChain, judgeRoot } from './check-list.ts';
import { keysOfBundle } from './verifying-keys.ts';

/** One call of the record. */
export interface RecordedCall {
  readonly view: HopView;
  /** Null where the call carried none, or it is no longer kept. */
  readonly chain: ChainBody | null;
  /** Every event of the call and of others on the same chain. */
  readonly events: readonly LoggedEvent[];
}

/** @throws {BehalfError} `not_found` */
export async function findCall(query: QueryClient, hop: string): Promise<RecordedCall> {
  const { chain, events } = await query.getChain({ hopId: Buffer.from(hop, 'base64url') });
  const view = joinHops(events).find(({ id }) => id === hop);
  if (view === undefined) throw new BehalfError('not_found', { hop });
  return { view, chain: chain ?? (await bareRootOf(query, view)), events };
}

/**
 * Where a request enters there is a root without links, which is kept as part of the chains that were made of it: found by the
 * transaction, and taken only if it has the hash that the event names.
 */
async function bareRootOf(query: QueryClient, { main }: HopView): Promise<ChainBody | null> {
  const { chainId, txn, requestId } = main.hop;
  if (chainId.length === 0 || txn === '') return null;
  const onward = await listHops(query, { requestId, txn });
  for (const { id } of joinHops(onward)) {
    const { chain } = await query.getChain({ hopId: Buffer.from(id, 'base64url') });
    const root = { chainId, txnToken: chain?.txnToken ?? '', delegationChain: '', delegationCredentials: '' };
    if (chainIdOf(root).equals(chainId)) return root;
  }
  return null;
}

/** Why there is no chain. */
export function whyNoChain({ main }: HopView): string {
  if (main.hop.side === 'SIDE_ENTRY' && main.hop.outcome !== 'OUTCOME_REFUSED')
    return 'the request came in here, where its chain has no link yet: show the call that it led to (`behalf hops` has its id)';
  const { personal, chainId, side } = main.hop;
  if (personal === null && chainId.length === 0)
    return 'the call carried no delegation that could be read, or its person was erased';
  if (side === 'SIDE_ENTRY') return 'the request went no further: a root is kept with the chains that are made of it';
  return 'the chain is no longer kept';
}

/** The three values; a bare root has one. */
export function headersOfBody({ txnToken, delegationChain, delegationCredentials }: ChainBody): ChainHeaders {
  return {
    txnToken,
    delegationChain: delegationChain === '' ? null : delegationChain,
    delegationCredentials: delegationCredentials === '' ? null : delegationCredentials,
  };
}

/** When the side that judged it received the call, by its own clock: seconds. */
export function judgedAtS({ main }: HopView): number {
  return (main.timeUs - main.hop.durationUs) / 1e6;
}

/**
 * Judges a recorded chain again as its receiver did at the time of the call, and whether the log commits to it.
 */
export async function judgeRecorded(
  { view, chain, events }: RecordedCall & { readonly chain: ChainBody },
  { query, bundle }: { readonly query: QueryClient; readonly bundle: MeshBundle },
): Promise<Judged> {
  const { hop } = view.main;
  const isBare = chain.delegationChain === '';
  const facts: JudgeFacts = {
    nowS: judgedAtS(view),
    keys: keysOfBundle(bundle),
    unknownKey: 'not_judged',
    ...partiesOf(hop, chain),
    route: hop.route === '' ? null : { matched: hop.route },
    myCertificateS256: null,
    liveState: await revocationsInWords(query, chain, view),
    policy: decidedInWords(view),
  };
  const judged = isBare ? judgeRoot(chain.txnToken, facts) : judgeChain(headersOfBody(chain), facts);
  const record = await recordChecks({ view, chain, events }, query, bundle.logKeys);
  return { ...judged, checks: [...record, ...judged.checks] };
}

/**
 * Who held the chain, and who presented it. A call that ended before its link was signed is on record with what the caller held;
 * any other with what the callee was handed.
 */
function partiesOf(hop: Hop, chain: ChainBody): Pick<JudgeFacts, 'me' | 'peer'> {
  const holder = attempt(() =>
    chain.delegationChain === '' ? parseRoot(chain.txnToken).claims.req_wl : parseChain(chain).last.link.claims.aud,
  );
  if (hop.caller === '') return { me: parseSpiffeId(hop.callee), peer: null };
  const caller = parseSpiffeId(hop.caller);
  if (hop.callee === '' || (holder.ok && holder.value === caller)) return { me: caller, peer: null };
  return { me: parseSpiffeId(hop.callee), peer: { spiffeId: caller, certificateS256: null } };
}

/** That body, event, leaf and log belong together, for each side that told of the call. */
async function recordChecks(
  { view, chain, events }: RecordedCall & { readonly chain: ChainBody },
  query: QueryClient,
  logKeys: readonly string[],
): Promise<Check[]> {
  const checks: Check[] = [];
  for (const side of view.sides) {
    const name = sideName(side);
    const logged = events.find(({ index }) => index === side.index);
    checks.push(bodyCheck(chain, side, name));
    if (logged !== undefined) checks.push(leafCheck(logged, name));
    const { holds, treeSize, path, entry } = await proveInclusion(query, side.index, logKeys);
    checks.push(
      run('log', `the ${name}’s record is in the log`, () => {
        if (!holds || logged?.entry.equals(entry) !== true)
          throw new BehalfError('log_inconsistent', { index: side.index });
        return `record ${side.index} of ${treeSize}, proved by ${path.length} hashes`;
      }),
    );
  }
  return checks;
}

/** The body's own hash is the chain id that the event names. */
function bodyCheck(chain: ChainBody, { hop }: SideReport, name: string): Check {
  const check = `the chain is the one that the ${name} reported`;
  const id = chainIdOf(chain);
  if (hop.chainId.length === 0) return notJudged('log', check, 'its record names none');
  if (hop.chainId.equals(id)) return ok('log', check, `chain ${text(id)}`);
  return refusedCheck('log', check, new BehalfError('log_inconsistent', { why: 'the body has another hash' }));
}

/** The event as the collector tells it, parted anew, gives the very entry that the leaf is a hash of: chain id and person too. */
function leafCheck({ reporter, event, entry, index }: LoggedEvent, name: string): Check {
  return run('log', `the log’s leaf commits to what the ${name} reported, chain id included`, () => {
    if (!partEvent(reporter, decodeEvent(event)).entry.equals(entry))
      throw new BehalfError('log_inconsistent', { index, why: 'the entry commits to something else' });
    return '';
  });
}

function sideName({ hop }: SideReport): string {
  return hop.side.replace('SIDE_', '').toLowerCase();
}

function decidedInWords({ main }: HopView): string {
  const { code, policies, snapshotNumber } = main.hop;
  if (policies.length === 0 && code === '') return 'the record names no policy; `behalf explain` decides again';
  const by = policies.length === 0 ? '' : ` by ${policies.join(' ')}`;
  return `the record says ${code === '' ? 'allowed' : code}${by} under snapshot ${snapshotNumber}; \`behalf explain\` decides again`;
}

/** Clocks of two parts differ by no more without being noticed. */
const CLOCKS_DIFFER_S = 60;
/** Changes of a consent that leave less of it. */
const TAKES_BACK: ReadonlySet<string> = new Set(['narrowed', 'withdrawn']);

/** A revocation on record that names something of the chain. */
export interface NamedRevocation {
  readonly kind: string;
  readonly value: string;
  readonly timeUs: number;
  readonly by: string;
  readonly reason: string;
}

/** What the record has of anything of the chain being taken back, oldest first: revocations, and consents that became less. */
export async function revocationsNaming(query: QueryClient, chain: ChainBody): Promise<NamedRevocation[]> {
  const facts = factsOf(chain);
  if (facts.root === null) return [];
  const named = namedBy(facts);
  // What was taken back before the root was made does not hit it, save for a clock's difference.
  const sinceUs = Math.max(0, (facts.root.iat - CLOCKS_DIFFER_S) * 1e6);
  const events = [
    ...(await listEvents(query, { kind: 'revocation', sinceUs })),
    ...(await listEvents(query, { kind: 'consent', sinceUs })),
  ];
  return events
    .flatMap(takenBack)
    .flatMap((one) => {
      const value = named.get(`${one.kind} ${one.value}`);
      return value === undefined ? [] : [{ ...one, value }];
    })
    .toSorted((one, other) => one.timeUs - other.timeUs);
}

function takenBack({ event, reporter }: LoggedEvent): NamedRevocation[] {
  const decoded = decodeEvent(event);
  const { timeUs } = decoded;
  if (decoded.body === 'revocation') {
    const { kind, value, by, reason } = decoded.revocation;
    return [{ kind, value, timeUs, by, reason }];
  }
  if (decoded.body !== 'consent' || !TAKES_BACK.has(decoded.consent.change)) return [];
  const { change, personal } = decoded.consent;
  return [{ kind: 'consent', value: personal?.consentId ?? '', timeUs, by: reporter, reason: change }];
}

async function revocationsInWords(query: QueryClient, chain: ChainBody, view: HopView): Promise<string> {
  const revocations = await revocationsNaming(query, chain);
  if (revocations.length === 0) return 'the record has no revocation of anything that it names';
  return revocations
    .map(({ kind, value, timeUs }) => {
      const when = timeUs / 1e6 <= judgedAtS(view) ? 'before the call' : 'since';
      return `${kind} ${value} was revoked ${when}, at ${instant(timeUs)} UTC`;
    })
    .join('; ');
}

/** A body that cannot be read names nothing; that it cannot be read is said by the first check. */
function factsOf(chain: ChainBody): RevocableFacts {
  const parsed = attempt(() =>
    chain.delegationChain === ''
      ? { root: rootFacts(parseRoot(chain.txnToken)), signers: [] }
      : parseChain(chain).revocable,
  );
  return parsed.ok ? parsed.value : { root: null, signers: [] };
}

/** What the chain names, by kind and value as they stand on record: the authority writes hashes of what is about a person. */
function namedBy({ root, signers }: RevocableFacts): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const add = (kind: string, value: string | null): void => {
    if (value === null) return;
    names.set(`${kind} ${value}`, value);
    names.set(`${kind} ${sha256Base64url(value)}`, value);
  };
  if (root !== null) {
    for (const kind of ['kid', 'txn', 'sub', 'client', 'consent', 'grant', 'deferred'] as const) add(kind, root[kind]);
  }
  for (const { workload, certificate, jti, kid } of signers) {
    add('workload', workload);
    add('cert', certificate);
    add('wit', jti);
    add('kid', kid);
  }
  return names;
}
