/**
 * A request from outside with no credential, on a route that the contract marks public: nobody's. It has no delegation, so the app
 * gets no facts and no handle, and what it calls meanwhile names no request. Policy still decides, and it stands on record.
 */
import { BehalfError } from '../../../errors/index.ts';
import {
  type CompiledSnapshot,
  type Decision,
  type MatchedRoute,
  matchRoute,
  ownScopesOf,
} from '../../../policy/index.ts';
import { stripRouteOverrides } from '../../facts/index.ts';
import type { CallEnvironment } from '../environment.ts';
import { pathOfTarget, type RequestHead } from '../head.ts';
import type { MeshCall } from '../mesh-call.ts';
import { edgeRefusal } from '../outbound/outbound.ts';
import type { Peer, Verdict } from '../seam.ts';
import { fieldsInside } from './entry-credential.ts';
import { handOn } from './hand-on.ts';

/**
 * Judges it.
 * @throws {BehalfError} `delegation_missing` for a route that is not public, `revocation_stale`, and what policy denies with
 */
export async function judgePublic(
  env: CallEnvironment,
  call: MeshCall,
  head: RequestHead,
  route: MatchedRoute,
): Promise<Verdict> {
  if (route.route.public !== true) throw new BehalfError('delegation_missing', { why: 'no access token' });
  const record = call.records[0] as MeshCall['records'][number];
  record.carrier = 'public';
  env.state.checkFresh(performance.now(), 'ca');
  const { forward } = env.entry;
  if (forward !== null) return handOnOwn(env, call, { ...head, headers: fieldsInside(head.headers) }, route, forward);
  const decision = decisionOf(env, currentSnapshot(env), route);
  record.numbers = env.state.numbers();
  record.policies = decision.policies;
  const refusal = refusalOf(decision);
  if (refusal !== null) throw refusal;
  call.stillAllowed = () => {
    const newer = env.state.snapshot();
    if (newer === null) return null;
    // Looked up again: it may be public no more.
    const again = matchRoute(newer, env.me, head.method, pathOfTarget(head.target));
    return refusalOf(decisionOf(env, newer, again));
  };
  return {
    kind: 'forward',
    call,
    target: { kind: 'app' },
    head: { ...head, headers: fieldsInside(stripRouteOverrides(head.headers)) },
  };
}

function decisionOf(env: CallEnvironment, compiled: CompiledSnapshot, route: MatchedRoute | null): Decision {
  const { me, decisions } = env;
  return decisions.decide(compiled, { nowS: env.nowS(), caller: me, service: me, route, delegation: null });
}

function refusalOf({ kind, code, detail }: Decision): BehalfError | null {
  return kind === 'deny' ? new BehalfError(code ?? 'policy_denied', detail) : null;
}

/** A peer takes nothing without a delegation: the entry calls it on its own authority, where it has any. */
async function handOnOwn(
  env: CallEnvironment,
  call: MeshCall,
  head: RequestHead,
  { route }: MatchedRoute,
  peer: Peer,
): Promise<Verdict> {
  const scopes = ownScopesOf(currentSnapshot(env), env.me, peer.id);
  if (scopes === null) throw new BehalfError('delegation_missing', { to: peer.id, why: 'no own edge' });
  const parent = await env.roots.forOwn(peer.id, scopes, route.fresh);
  const verdict = handOn(env, call, head, { parent, carrier: 'own' }, peer);
  call.revocable = parent.revocable;
  call.delegated = true;
  call.stillAllowed = () => closedMeanwhile(env, head, peer) ?? edgeRefusal(env, peer);
  return verdict;
}

/** The peer sees a workload's own call, which it may take on any route: that nobody's requests may come this far is ours to judge. */
function closedMeanwhile(env: CallEnvironment, head: RequestHead, peer: Peer): BehalfError | null {
  const newer = env.state.snapshot();
  if (newer === null) return null;
  const again = matchRoute(newer, peer.id, head.method, pathOfTarget(head.target));
  if (again?.route.public === true && ownScopesOf(newer, env.me, peer.id) !== null) return null;
  return new BehalfError('delegation_missing', { to: peer.id, why: 'not public, or no own edge, any more' });
}

/** @throws {BehalfError} `snapshot_stale` */
function currentSnapshot(env: CallEnvironment): CompiledSnapshot {
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  return compiled;
}
