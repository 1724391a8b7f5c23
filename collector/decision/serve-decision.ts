/**
 * `behalf.decision.v1.Decision`: the same decision that every sidecar makes, for services without one and for people. It
 * judges the facts that it is told and proves none of them; so a service is answered about calls to itself, an operator about
 * any.
 */
import { BehalfError } from '../../errors/index.ts';
import { type Clock, parseSpiffeId, pathOf, type SpiffeId, systemClock } from '../../identity/index.ts';
import { type GrpcServer, requireCaller } from '../../identity/mtls/index.ts';
import {
  type AppResource,
  type CompiledSnapshot,
  type Decision,
  type DelegationFacts,
  decideCall,
  decideResource,
  isScopeToken,
  matchRoute,
} from '../../policy/index.ts';
import { type DecideRequest, decisionService } from '../../proto/behalf/decision/v1/decision.ts';

/** What decisions need of the collector's state. */
export interface DecisionDeps {
  readonly state: { snapshot(): CompiledSnapshot | null };
  readonly clock?: Clock;
}

const MAX_LIST = 64;
const MAX_TEXT = 256;
const MAX_RESOURCE_LENGTH = 65_536;

/** Adds the service to a server that does not listen yet. */
export function serveDecision(server: GrpcServer, { state, clock = systemClock }: DecisionDeps): void {
  server.add(decisionService, {
    decide(request, caller) {
      const service = readId(request.service, 'service');
      checkAsker(requireCaller(caller), service);
      const compiled = state.snapshot();
      const { decision, route } = decide(compiled, request, service, clock());
      return {
        allow: decision.kind === 'allow',
        code: decision.code ?? '',
        policies: [...decision.policies],
        route,
        snapshotNumber: compiled?.number ?? 0,
      };
    },
  });
}

function decide(
  compiled: CompiledSnapshot | null,
  request: DecideRequest,
  service: SpiffeId,
  nowS: number,
): { decision: Decision; route: string } {
  const caller = readId(request.caller, 'caller');
  const facts = readFacts(request, caller);
  if (request.resourceJson !== '') {
    const resource = readResource(request.resourceJson);
    const action = request.method;
    return { decision: decideResource(compiled, { nowS, caller, service, action, resource, facts }), route: '' };
  }
  const route = compiled === null ? null : matchRoute(compiled, service, request.method, request.path);
  return { decision: decideCall(compiled, { nowS, caller, service, route, facts }), route: route?.name ?? '' };
}

function checkAsker(asker: SpiffeId, service: SpiffeId): void {
  if (asker === service || pathOf(asker).startsWith('/behalf/operator/')) return;
  throw new BehalfError('policy_denied', { why: 'a service is answered about itself only', asker });
}

function readFacts(request: DecideRequest, caller: SpiffeId): DelegationFacts {
  const { scopes, actors, subject } = request;
  if (scopes.length > MAX_LIST || !scopes.every(isScopeToken)) throw malformed('scopes');
  if (actors.length > MAX_LIST) throw malformed('actors');
  for (const member of ['subject', 'clientId', 'purpose', 'consentId'] as const) {
    if (request[member].length > MAX_TEXT) throw malformed(member);
  }
  return {
    subject,
    client: request.clientId,
    consent: request.consentId,
    purpose: request.purpose,
    scopes,
    actors: actors.length === 0 ? [caller] : actors.map((actor) => readId(actor, 'actors')),
    depth: request.depth,
    own: subject.startsWith('spiffe://'),
  };
}

function readResource(json: string): AppResource {
  if (json.length > MAX_RESOURCE_LENGTH) throw malformed('resource_json');
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member: 'resource_json', why: 'not JSON' }, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('resource_json');
  const { type, id, ...attributes } = value as Record<string, unknown>;
  if (typeof type !== 'string' || typeof id !== 'string') throw malformed('resource_json');
  return { type, id, attributes };
}

function readId(value: string, member: string): SpiffeId {
  try {
    return parseSpiffeId(value);
  } catch (cause) {
    throw new BehalfError('request_malformed', { member, why: 'not a SPIFFE ID' }, { cause });
  }
}

function malformed(member: string): BehalfError {
  return new BehalfError('request_malformed', { member });
}
