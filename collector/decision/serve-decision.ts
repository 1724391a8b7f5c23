/**
 * `behalf.decision.v1.Decision`: the same decision that every sidecar makes, for services without one and for people. It
 * judges the facts that it is told and proves none of them; so a service is answered about calls to itself, an operator about
 * any.
 */
import { BehalfError } from '../../errors/index.ts';
import { type Clock, pathOf, type SpiffeId, systemClock } from '../../identity/index.ts';
import { type GrpcServer, requireCaller } from '../../identity/mtls/index.ts';
import { type CompiledSnapshot, type Decision, decideCall, decideResource, matchRoute } from '../../policy/index.ts';
import { type DecideRequest, decisionService } from '../../proto/behalf/decision/v1/decision.ts';
import { explain, type KeptSnapshots } from './explain.ts';
import { readFacts, readId, readResource } from './read-request.ts';

/** What decisions need of the collector's state. */
export interface DecisionDeps {
  readonly state: KeptSnapshots;
  readonly clock?: Clock;
}

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
    explain(request, caller) {
      checkOperator(requireCaller(caller));
      return explain(request, state, clock());
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

function checkOperator(asker: SpiffeId): void {
  if (!isOperator(asker)) throw new BehalfError('policy_denied', { why: 'explanations are for operators', asker });
}

function isOperator(asker: SpiffeId): boolean {
  return pathOf(asker).startsWith('/behalf/operator/');
}

function checkAsker(asker: SpiffeId, service: SpiffeId): void {
  if (asker === service || isOperator(asker)) return;
  throw new BehalfError('policy_denied', { why: 'a service is answered about itself only', asker });
}
