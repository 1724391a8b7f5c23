/**
 * The chain that a recorded call ran on, out of the record, with what the record knows about it: both sides' events, what was
 * revoked, and whether the log commits to it.
 */
import { chainIdOf, decodeEvent, partEvent } from '../../audit/event/index.ts';
import { type ChainHeaders, parseChain, parseRoot, type RevocableFacts } from '../../delegation/index.ts';
import { rootFacts } from '../../delegation/root/root-facts.ts';
import { BehalfError } from '../../errors/index.ts';
import { type MeshBundle, parseSpiffeId } from '../../identity/index.ts';
import type { ChainBody, Hop, LoggedEvent } from '../../proto/behalf/audit/v1/audit.ts';
import { instant } from '../draw/words.ts';
import { type HopView, joinHops, type SideReport, text } from '../hops/hop-view.ts';
import { proveInclusion } from '../hops/prove-inclusion.ts';
import { listEvents, type QueryClient } from '../hops/query.ts';
import { isHopText } from './chain-input.ts';
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

/** @throws {BehalfError} `usage` for what is no hop id, `not_found` */
export async function findCall(query: QueryClient, hop: string, command: string): Promise<RecordedCall> {
  if (!isHopText(hop)) throw new BehalfError('usage', { command, why: 'a hop id has 16 characters' });
  const { chain, events } = await query.getChain({ hopId: Buffer.from(hop, 'base64url') });
  const view = joinHops(events).find(({ id }) => id === hop);
  if (view === undefined) throw new BehalfError('not_found', { hop });
  return { view, chain, events };
}

/** Why there is no chain. */
export function whyNoChain({ main }: HopView): string {
  return main.hop.personal === null && main.hop.chainId.length === 0
    ? 'the call carried no delegation that could be read, or its person was erased'
    : 'the chain is no longer kept';
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

/** A revocation on record that names something of the chain. */
export interface NamedRevocation {
  readonly kind: string;
  readonly value: string;
  readonly timeUs: number;
  readonly by: string;
  readonly reason: string;
}

/** Revocations on record that name something of the chain, oldest first. */
export async function revocationsNaming(query: QueryClient, chain: ChainBody): Promise<NamedRevocation[]> {
  const named = namedBy(factsOf(chain));
  const events = await listEvents(query, { kind: 'revocation' });
  return events.flatMap(({ event }) => {
    const decoded = decodeEvent(event);
    if (decoded.body !== 'revocation') return [];
    const { kind, value, by, reason } = decoded.revocation;
    return named.has(`${kind} ${value}`) ? [{ kind, value, timeUs: decoded.timeUs, by, reason }] : [];
  });
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

function namedBy({ root, signers }: RevocableFacts): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (kind: string, value: string | null): void => {
    if (value !== null) names.add(`${kind} ${value}`);
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
