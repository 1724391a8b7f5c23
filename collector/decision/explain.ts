/** Makes a decision again under the snapshot of then and says what it rests on. Proves none of the facts that it is told. */
import type { SpiffeId } from '../../identity/index.ts';
import { type CompiledSnapshot, entryCeilingOf, explainCall, routeNamed } from '../../policy/index.ts';
import type { ExplainRequest, ExplainResponse, OwnedThing } from '../../proto/behalf/decision/v1/decision.ts';
import type { Sent } from '../../proto/service.ts';
import { malformed, readFacts, readId } from './read-request.ts';

/** The policy snapshots that the collector has. */
export interface KeptSnapshots {
  snapshot(): CompiledSnapshot | null;
  /** A past one; null where it is not kept. */
  snapshotAt(number: number): CompiledSnapshot | null;
}

const MAX_ROUTE_LENGTH = 2_048;

/** @throws {BehalfError} `request_malformed` */
export function explain(request: ExplainRequest, state: KeptSnapshots, nowS: number): Sent<ExplainResponse> {
  const { call, snapshotNumber, atUs } = request;
  if (call === null) throw malformed('call');
  const caller = readId(call.caller, 'caller');
  const service = readId(call.service, 'service');
  const facts = readFacts(call, caller);
  if (request.route.length > MAX_ROUTE_LENGTH) throw malformed('route');
  const inForce = state.snapshot();
  const compiled = snapshotNumber === 0 ? inForce : state.snapshotAt(snapshotNumber);
  const numbers = { snapshotNumber: compiled?.number ?? snapshotNumber, snapshotInForce: inForce?.number ?? 0 };
  if (compiled === null) return { snapshotKnown: false, ...numbers };
  const route = routeNamed(compiled, service, request.route);
  const explained = explainCall(compiled, { nowS: atUs === 0 ? nowS : atUs / 1e6, caller, service, route, facts });
  const { decision, edge } = explained;
  return {
    snapshotKnown: true,
    ...numbers,
    issuedAtS: compiled.snapshot.issued_at,
    decision: {
      allow: decision.kind === 'allow',
      code: decision.code ?? '',
      policies: decision.policies,
      route: route?.name ?? '',
      snapshotNumber: compiled.number,
    },
    why: Object.entries(decision.detail)
      .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(' ') : value}`)
      .join(', '),
    policies: explained.policies,
    neededScopes: explained.needed,
    missingScopes: explained.missing,
    hasEdge: edge !== null,
    edgeNarrows: edge !== null && edge.narrow_to !== null,
    edgeScopes: edge?.narrow_to ?? [],
    service: owned(service, explained.service),
    caller: owned(caller, explained.caller),
    ...entryFacts(compiled, request),
  };
}

function entryFacts(compiled: CompiledSnapshot, { entry, entryRoute }: ExplainRequest): Sent<ExplainResponse> {
  if (entry === '') return {};
  const id = readId(entry, 'entry');
  const ceiling = entryCeilingOf(compiled, id);
  const route = routeNamed(compiled, id, entryRoute)?.route ?? null;
  return {
    entryKnown: ceiling !== null,
    entryCeiling: ceiling ?? [],
    entryRouteKnown: route !== null,
    entryRouteScopes: route === null ? [] : [...new Set([...route.scopes, ...route.passes])],
  };
}

/** A service has its owner; a workload that calls may be known as such only. */
function owned(id: SpiffeId, thing: Omit<OwnedThing, 'id'> | null): OwnedThing {
  return { id, name: thing?.name ?? '', owner: thing?.owner ?? '', reason: thing?.reason ?? '' };
}
