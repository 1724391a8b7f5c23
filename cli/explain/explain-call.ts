/** Gathers all that is known of one recorded call: both sides, chain, the decision made again, consent, revocations. */
import { BehalfError } from '../../errors/index.ts';
import type { Hop } from '../../proto/behalf/audit/v1/audit.ts';
import { type Consent, consents } from '../../proto/behalf/authority/v1/authority.ts';
import { decisionService, type ExplainResponse } from '../../proto/behalf/decision/v1/decision.ts';
import { findPutOff, type PutOff } from '../chain/put-off.ts';
import {
  findCall,
  headersOfBody,
  type NamedRevocation,
  type RecordedCall,
  revocationsNaming,
} from '../chain/recorded-chain.ts';
import { type ChainView, viewChain } from '../chain/view-chain.ts';
import { type HopView, joinHops } from '../hops/hop-view.ts';
import { accountNames, connectQuery, listHops, type QueryClient } from '../hops/query.ts';
import type { Operator } from '../mesh/operator.ts';
import { findScopeLoss, type ScopeLoss } from './scope-loss.ts';

export interface CallAccount {
  readonly view: HopView;
  /** Null where the call carried none that could be read, or it is no longer kept. */
  readonly chain: ChainView | null;
  /** The decision made again under the snapshot of then; null where policy was not asked. */
  readonly decidedThen: ExplainResponse | null;
  /** The same under the snapshot in force, where that is another one. */
  readonly decidedNow: ExplainResponse | null;
  readonly losses: readonly ScopeLoss[];
  readonly consent: Consent | null;
  readonly revocations: readonly NamedRevocation[];
  /** Work that was put off in it, or that it takes up. */
  readonly putOff: readonly PutOff[];
  /** Account names by pseudonym. */
  readonly names: ReadonlyMap<string, string>;
}

/** Codes that step 9 of WIRE.md section 3 gives: with any other one policy was not asked. */
const POLICY_CODES: ReadonlySet<string> = new Set([
  '',
  'policy_denied',
  'insufficient_scope',
  'route_unknown',
  'snapshot_stale',
]);

/** @throws {BehalfError} `not_found`, and refusals of collector and authority */
export async function explainCall(operator: Operator, hopText: string): Promise<CallAccount> {
  const query = connectQuery(operator);
  const call = await findCall(query, hopText);
  const { view } = call;
  const { hop } = view.main;
  const chain = call.chain === null ? null : viewChain(headersOfBody(call.chain));
  const request = joinHops(await listHops(query, { requestId: hop.requestId }));
  const consent = await consentOf(operator, hop.personal?.consentId ?? '');
  const decidedThen = POLICY_CODES.has(codeOf(view))
    ? await decideAgain(operator, view, request, hop.snapshotNumber)
    : null;
  const isPast = decidedThen !== null && decidedThen.snapshotInForce !== hop.snapshotNumber;
  return {
    view,
    chain,
    decidedThen,
    decidedNow: isPast ? await decideAgain(operator, view, request, 0) : null,
    losses:
      chain === null || decidedThen === null
        ? []
        : findScopeLoss(chain, decidedThen.missingScopes, lossFacts(decidedThen, consent, request)),
    consent,
    revocations: await revocationsOf(query, call),
    putOff: await findPutOff(query, view.main),
    names: await accountNames(operator),
  };
}

/** The refusal or failure of a call, empty where there was none. */
export function codeOf({ sides, ends }: HopView): string {
  return [...sides.map(({ hop }) => hop.code), ...ends.map(({ end }) => end.code)].find((code) => code !== '') ?? '';
}

/** The collector decides on the facts that the record has of the call. Null where it had no caller or service to name. */
async function decideAgain(
  { connect, mesh }: Operator,
  view: HopView,
  request: readonly HopView[],
  snapshotNumber: number,
): Promise<ExplainResponse | null> {
  const { hop, timeUs } = view.main;
  if (hop.callee === '') return null;
  const entry = request.find(({ sides }) => sides.some((side) => side.hop.side === 'SIDE_ENTRY'))?.main.hop;
  return connect(decisionService, mesh.collector).explain({
    call: {
      // Where a request enters, the entry workload is the one that acts.
      caller: hop.caller === '' ? hop.callee : hop.caller,
      service: hop.callee,
      // Not read: the route is named.
      method: '',
      path: '',
      resourceJson: '',
      ...factsOf(hop),
    },
    route: hop.route,
    snapshotNumber,
    atUs: snapshotNumber === 0 ? 0 : timeUs - hop.durationUs,
    entry: entry?.callee ?? '',
    entryRoute: entry?.route ?? '',
  });
}

function factsOf({ personal, scope, actors, depth }: Hop) {
  return {
    subject: personal?.subject ?? '',
    clientId: personal?.clientId ?? '',
    consentId: personal?.consentId ?? '',
    purpose: personal?.purpose ?? '',
    scopes: scope === '' ? [] : scope.split(' '),
    actors,
    depth,
  };
}

function lossFacts(explained: ExplainResponse, consent: Consent | null, request: readonly HopView[]) {
  const entry = request.find(({ main }) => main.hop.side === 'SIDE_ENTRY')?.main.hop;
  return {
    consentScopes: consent?.scopes ?? null,
    entryCeiling: explained.entryKnown ? explained.entryCeiling : null,
    entryRoute:
      explained.entryRouteKnown && entry !== undefined
        ? { name: entry.route, scopes: explained.entryRouteScopes }
        : null,
    hopOf: (from: string, to: string, depth: number) =>
      request.find(({ main: { hop } }) => hop.caller === from && hop.callee === to && hop.depth === depth)?.id ?? null,
  };
}

async function consentOf({ connect, mesh }: Operator, id: string): Promise<Consent | null> {
  if (mesh.authority === null || id === '') return null;
  try {
    return (await connect(consents, mesh.authority).consentHistory({ id })).consent;
  } catch (error) {
    if (error instanceof BehalfError && error.code === 'not_found') return null;
    throw error;
  }
}

async function revocationsOf(query: QueryClient, { chain }: RecordedCall): Promise<readonly NamedRevocation[]> {
  return chain === null ? [] : revocationsNaming(query, chain);
}
