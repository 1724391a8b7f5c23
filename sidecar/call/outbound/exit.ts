/**
 * A call of the own app to a destination outside the mesh. Nobody judges at the other end, so that all is judged here: whose call
 * it is, that this workload may make it, that nothing is stale or revoked, and what the policy says. The delegation does not
 * leave; what leaves is the app's own request without any field of the mesh, and where the exit has one a token for it alone.
 */
import type { VerifiedChain, VerifiedRoot } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import {
  allowsContext,
  type CompiledSnapshot,
  type Decision,
  type DelegationFacts,
  decideExit,
  exitNamed,
  exitOf,
  factsOfDelegation,
  factsOfOwn,
  matchExitRoute,
  type SnapshotExit,
} from '../../../policy/index.ts';
import { stripMeshHeaders, stripRouteOverrides } from '../../facts/index.ts';
import { type HopRecord, newHopRecord, noteDelegation } from '../../report/hop-record.ts';
import type { CallEnvironment } from '../environment.ts';
import { checkNoAccessToken } from '../foreign-token.ts';
import { fieldOf, pathOfTarget, type RequestHead } from '../head.ts';
import { type MeshCall, newMeshCall } from '../mesh-call.ts';
import type { ExitTarget, Verdict } from '../seam.ts';
import { checkFresh, checkOwnStanding, ownSigner } from '../standing.ts';
import { revocationCode, withSigners } from '../streams.ts';
import { narrowedTo, readAskedScope } from './asked-scope.ts';
import { newRequestId } from './outbound.ts';
import { readReference, resumedRoot } from './resumed.ts';

/** Whose call it is, and with what left. */
interface Party {
  /** Null for the workload's own authority. */
  readonly parent: VerifiedRoot | VerifiedChain | null;
  readonly facts: DelegationFacts;
}

/** Judges one call to the exit of that name; never throws. */
export async function judgeExit(env: CallEnvironment, head: RequestHead, name: string): Promise<Verdict> {
  const call = newExitCall(env, head, name);
  try {
    const target = await judge(env, call, head, name);
    return { kind: 'forward', call, ...target };
  } catch (thrown) {
    const error = thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown });
    return { kind: 'refuse', call, error };
  }
}

/** The exit that a call on the shared port means by its host; null where that is a peer's name, or nobody's. */
export function exitMeant(env: CallEnvironment, authority: string): string | null {
  const compiled = env.state.snapshot();
  return compiled === null || env.peerNamed(authority) !== null ? null : exitNamed(compiled, env.me, authority);
}

function newExitCall(env: CallEnvironment, head: RequestHead, name: string): MeshCall {
  const record = newHopRecord({
    side: 'SIDE_EXIT',
    caller: env.me,
    callee: '',
    method: head.method,
    protocol: head.protocol,
    hop: { hop: env.hopMinter.next(), parent: null, request: newRequestId(env) },
  });
  record.ownSerialHex = env.identity.current().serialHex;
  record.exit = name;
  return newMeshCall('app', record, env.nowS());
}

async function judge(env: CallEnvironment, call: MeshCall, head: RequestHead, name: string) {
  const record = call.records[0] as HopRecord;
  checkOwnStanding(env);
  checkNoAccessToken(head.headers, [env.identity.bundle().issuer]);
  const asked = readAskedScope(head.headers);
  const compiled = snapshotOf(env);
  const exit = exitOf(compiled, env.me, name);
  // One that is another's is as unknown as one that is nobody's.
  if (exit === null) throw new BehalfError('policy_denied', { why: 'no exit', from: env.me, exit: name });
  const found = await partyOf(env, compiled, head, record, name, exit);
  const scopes = narrowedTo(asked, found.facts.scopes);
  const party: Party = { ...found, facts: { ...found.facts, scopes } };
  record.scope = scopes.join(' ');
  call.delegated = party.parent !== null;
  call.revocable = withSigners(party.parent?.revocable ?? { root: null, signers: [] }, [
    ownSigner(env.identity.current()),
  ]);
  checkStanding(env, call);
  record.numbers = env.state.numbers();
  const decision = decide(env, compiled, head, name, party);
  record.route = decision.route;
  record.policies = decision.policies;
  throwIfDenied(decision);
  const token = await tokenFor(env, exit, party, head, record);
  // What came while the authority was asked: a revocation, a stale source, another policy.
  checkStanding(env, call);
  call.stillAllowed = () => refusalOf(env, head, name, exit, party);
  const refused = call.stillAllowed();
  if (refused !== null) throw refused;
  const target = targetOf(name, exit);
  return { target: { kind: 'exit', exit: target } as const, head: outsideHead(head, target, token) };
}

/** The context that the call names, or the workload's own authority where the exit is marked so. Never the latest request. */
async function partyOf(
  env: CallEnvironment,
  compiled: CompiledSnapshot,
  head: RequestHead,
  record: HopRecord,
  name: string,
  exit: SnapshotExit,
): Promise<Party> {
  const reference = readReference(head.headers);
  if (reference !== null) {
    // What would be refused anyway takes no use.
    checkFresh(env);
    if (matchExitRoute(compiled, name, head.method, pathOfTarget(head.target)) === null)
      throw new BehalfError('route_unknown', { exit: name });
    const parent = await resumedRoot(env, reference, false);
    noteDelegation(record, parent);
    record.carrier = 'deferred';
    return { parent, facts: factsOfDelegation(parent) };
  }
  const resolved = env.contexts.resolve(head.headers);
  if (resolved === null) {
    if (exit.own === null) throw new BehalfError('delegation_missing', { exit: name });
    record.carrier = 'own';
    record.actors = [env.me];
    return { parent: null, facts: factsOfOwn(env.me, exit.own) };
  }
  const { delegation, hopId, requestId } = resolved.inbound;
  noteDelegation(record, delegation);
  record.carrier = resolved.carrier;
  record.hop = {
    hop: record.hop.hop,
    parent: hopId.toString('base64url'),
    request: requestId.toString('base64url'),
  };
  if (!allowsContext(compiled, { min_context: null }, resolved.carrier))
    throw new BehalfError('context_too_weak', {
      way: resolved.carrier,
      least: compiled.snapshot.settings.min_context,
    });
  return { parent: delegation, facts: factsOfDelegation(delegation) };
}

/** @throws {BehalfError} `revocation_stale`, `delegation_revoked`, `consent_withdrawn` */
function checkStanding(env: CallEnvironment, { delegated, revocable }: MeshCall): void {
  if (delegated) checkFresh(env);
  else env.state.checkFresh(performance.now(), 'ca');
  if (revocable === null || env.state.revocations.isEmpty) return;
  const hit = env.state.revocations.hit(revocable);
  if (hit !== null) throw new BehalfError(revocationCode(hit), { kind: hit.kind });
}

function decide(
  env: CallEnvironment,
  compiled: CompiledSnapshot,
  { method, target }: RequestHead,
  exit: string,
  { facts }: Party,
): Decision & { readonly route: string } {
  const route = matchExitRoute(compiled, exit, method, pathOfTarget(target));
  return {
    ...decideExit(compiled, { nowS: env.nowS(), caller: env.me, exit, route, facts }),
    route: route?.name ?? '',
  };
}

function throwIfDenied({ kind, code, detail }: Decision): void {
  if (kind === 'deny') throw new BehalfError(code ?? 'policy_denied', detail);
}

/** Why the call may not go on, or go on running, under the policy that is now in force; null where it may. */
function refusalOf(
  env: CallEnvironment,
  head: RequestHead,
  name: string,
  judged: SnapshotExit,
  party: Party,
): BehalfError | null {
  const compiled = env.state.snapshot();
  if (compiled === null) return null;
  const exit = exitOf(compiled, env.me, name);
  // It goes, with its token, to where the exit was when it was judged.
  if (exit === null || (exit !== judged && !isSameTarget(targetOf(name, exit), targetOf(name, judged))))
    return new BehalfError('policy_denied', { why: 'no exit', from: env.me, exit: name });
  const decision = decide(env, compiled, head, name, party);
  return decision.kind === 'deny' ? new BehalfError(decision.code ?? 'policy_denied', decision.detail) : null;
}

/**
 * The token that goes with the call, or null where the exit has none; then a credential of the app's own goes as it is.
 * @throws {BehalfError} `request_malformed` for a credential of the app's own beside the exit's: the other side would choose
 */
async function tokenFor(
  env: CallEnvironment,
  { token }: SnapshotExit,
  { parent, facts }: Party,
  head: RequestHead,
  record: HopRecord,
): Promise<string | null> {
  if (token === null) return null;
  if (fieldOf(head.headers, 'authorization') !== null)
    throw new BehalfError('request_malformed', { object: 'authorization', why: 'this exit sets it' });
  record.audience = token.audience;
  const { compact, jti } = await env.exitTokens.get({ parent, audience: token.audience, scopes: facts.scopes });
  record.tokenJti = jti;
  return compact;
}

/**
 * Nothing of the mesh leaves: no carrier, used or not, no handle in `baggage`, no field of ours under any spelling. Nor does a field
 * that names another route than the one that was judged: nobody at the other end would take it out.
 */
function outsideHead(head: RequestHead, { authority }: ExitTarget, token: string | null): RequestHead {
  const headers = stripMeshHeaders(stripRouteOverrides(head.headers));
  return { ...head, authority, headers: token === null ? headers : [...headers, 'authorization', `Bearer ${token}`] };
}

function targetOf(name: string, { origin, tls, private_addresses }: SnapshotExit): ExitTarget {
  const { hostname, port, host, protocol } = new URL(origin);
  return {
    name,
    host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
    authority: host,
    tls: tls === null ? null : { ca: tls.ca, serverName: tls.server_name },
    privateAddresses: private_addresses,
  };
}

function isSameTarget(one: ExitTarget, other: ExitTarget): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function snapshotOf(env: CallEnvironment): CompiledSnapshot {
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  return compiled;
}
