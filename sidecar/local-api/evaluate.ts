/**
 * "May this user do this to that?", asked by the app about a resource of its own (DESIGN section 4). In this order: the
 * delegation stands and the state is fresh, the policy decides, the record has it, and only then is it answered.
 */
import { createHash } from 'node:crypto';
import type { Reporter } from '../../audit/report/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { type Decision, decideResource, factsOfDelegation } from '../../policy/index.ts';
import type { EventBody } from '../../proto/behalf/audit/v1/audit.ts';
import type { StateView } from '../../state/index.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';
import { personalOf } from '../report/hop-record.ts';
import { type EvaluationRequest, parseEvaluationRequest } from './evaluation-request.ts';

export interface EvaluationDeps {
  readonly service: SpiffeId;
  readonly state: Pick<StateView, 'snapshot' | 'checkFresh'>;
  readonly reporter: Pick<Reporter, 'record'>;
  readonly nowS: () => number;
}

/** AuthZEN's answer. `context` says why not. */
export interface EvaluationAnswer {
  readonly decision: boolean;
  readonly context?: { readonly code: string; readonly reason: string };
}

/**
 * Answers one evaluation. What a policy says is a decision; what keeps it from being asked is thrown.
 * @throws {BehalfError} `request_malformed`, `revocation_stale`, `snapshot_stale`, `audit_unavailable`
 */
export async function evaluate(deps: EvaluationDeps, inbound: InboundContext, body: Buffer): Promise<EvaluationAnswer> {
  const { service, state, reporter } = deps;
  const { delegation } = inbound;
  const request = parseEvaluationRequest(body, delegation.sub);
  state.checkFresh(performance.now(), 'authority');
  state.checkFresh(performance.now(), 'ca');
  const snapshot = state.snapshot();
  const decision = decideResource(snapshot, {
    nowS: deps.nowS(),
    // Where the request entered here there is no caller: the service itself acts, as at its route.
    caller: inbound.peer ?? service,
    service,
    action: request.action,
    resource: request.resource,
    facts: factsOfDelegation(delegation),
  });
  if (decision.code === 'request_malformed') throw new BehalfError(decision.code, decision.detail);
  await reporter.record(
    evaluationEvent({ inbound, service, request, decision, snapshotNumber: snapshot?.number ?? 0 }),
  );
  if (decision.kind === 'allow') return { decision: true };
  const refusal = new BehalfError(decision.code ?? 'internal', decision.detail);
  if (refusal.code !== 'policy_denied') throw refusal;
  return { decision: false, context: { code: refusal.code, reason: refusal.message } };
}

interface Evaluated {
  readonly inbound: InboundContext;
  readonly service: SpiffeId;
  readonly request: EvaluationRequest;
  readonly decision: Decision;
  readonly snapshotNumber: number;
}

function evaluationEvent({ inbound, service, request, decision, snapshotNumber }: Evaluated): EventBody {
  const personal = personalOf(inbound.delegation);
  return {
    body: 'evaluation',
    evaluation: {
      hopId: inbound.hopId,
      requestId: inbound.requestId,
      service,
      action: request.action,
      resourceType: request.resource.type,
      allow: decision.kind === 'allow',
      code: decision.code ?? '',
      policies: decision.policies,
      snapshotNumber,
      personal,
      resourceHash: resourceHash(personal.salt, request.resource),
    },
  };
}

/** SHA-256 over salt, type, 0x00 and id. With the salt, which goes when the person is erased, an auditor can check an id. */
function resourceHash(salt: Buffer, { type, id }: EvaluationRequest['resource']): Buffer {
  return createHash('sha256').update(salt).update(`${type}\0${id}`, 'utf8').digest();
}
