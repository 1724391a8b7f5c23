/**
 * A request from outside the mesh (DESIGN section 4): nothing of the mesh's own is believed, exactly one credential is taken,
 * exchanged for a root at the authority, and stays here. Then it is the own app's, or goes straight on to a peer.
 */
import type { VerifiedRoot } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { type CompiledSnapshot, type Decision, type MatchedRoute, matchRoute } from '../../policy/index.ts';
import { stripMeshHeaders } from '../facts/index.ts';
import { newHopRecord, noteDelegation } from '../report/hop-record.ts';
import type { CallEnvironment } from './environment.ts';
import { type HeaderList, pathOfTarget, type RequestHead } from './head.ts';
import { appHead } from './inbound.ts';
import { type MeshCall, newMeshCall } from './mesh-call.ts';
import { edgeRefusal, goOn, newRequestId, peerHead } from './outbound.ts';
import type { Peer, Verdict } from './seam.ts';
import { checkFresh, checkOwnStanding } from './standing.ts';
import { revocationCode } from './streams.ts';
import { beginTrace, type TracedHead } from './traces.ts';

const BEARER = 'bearer ';
const MAX_TOKEN_LENGTH = 8_192;

/** Judges one request; never throws. */
export async function judgeEntry(env: CallEnvironment, head: RequestHead, address: string): Promise<Verdict> {
  const call = newEntryCall(env, head, address);
  try {
    const traced = beginTrace(env, call, head);
    checkOwnStanding(env);
    const stripped = stripMeshHeaders(traced.head.headers);
    const token = presentedToken(stripped);
    const compiled = env.state.snapshot();
    if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
    const forward = env.entryForward;
    const route = routeOf(compiled, forward?.id ?? env.me, head);
    noteRoute(env, call, route);
    const root = await env.roots.forToken(token, askedScopes(route), route.route.fresh);
    take(env, call, root);
    const clean = { ...head, headers: withoutCredential(stripped) };
    if (forward !== null) return handOn(env, call, clean, root, forward);
    decide(env, call, root, route);
    return {
      kind: 'forward',
      call,
      target: { kind: 'app' },
      head: ownHead(env, call, { ...traced, head: clean }, root),
    };
  } catch (thrown) {
    const error = thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown });
    return { kind: 'refuse', call, error };
  }
}

function newEntryCall(env: CallEnvironment, head: RequestHead, address: string): MeshCall {
  const hop = { hop: env.hopMinter.next(), parent: null, request: newRequestId(env) };
  const record = newHopRecord({
    side: 'SIDE_ENTRY',
    caller: '',
    callee: env.me,
    method: head.method,
    protocol: head.protocol,
    hop,
  });
  record.carrier = 'entry';
  record.peerAddress = address;
  record.ownSerialHex = env.identity.current().serialHex;
  return newMeshCall('outside', record, env.nowS());
}

/**
 * The one credential of a request: a bearer token in `Authorization` (RFC 6750 section 2.1).
 * @throws {BehalfError} `delegation_missing` without one, `entry_ambiguous` with more, `entry_token_invalid`
 */
export function presentedToken(headers: HeaderList): string {
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') continue;
    if (value !== null) throw new BehalfError('entry_ambiguous');
    value = headers[i + 1] as string;
  }
  if (value === null) throw new BehalfError('delegation_missing', { why: 'no access token' });
  if (value.slice(0, BEARER.length).toLowerCase() !== BEARER)
    throw new BehalfError('entry_token_invalid', { why: 'not a bearer token' });
  const token = value.slice(BEARER.length).trim();
  if (token.length === 0 || token.length > MAX_TOKEN_LENGTH || !isTokenText(token)) {
    throw new BehalfError('entry_token_invalid', { why: 'not of the form of RFC 6750' });
  }
  return token;
}

/** `b64token` of RFC 6750: letters, digits, `-._~+/`, and `=` at the end. */
function isTokenText(token: string): boolean {
  let end = token.length;
  while (end > 0 && token.charCodeAt(end - 1) === 61) end -= 1;
  for (let i = 0; i < end; i += 1) {
    const c = token.charCodeAt(i);
    const alphanumeric = (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
    if (!alphanumeric && c !== 45 && c !== 46 && c !== 95 && c !== 126 && c !== 43 && c !== 47) return false;
  }
  return end > 0;
}

function routeOf(compiled: CompiledSnapshot, service: SpiffeId, head: RequestHead): MatchedRoute {
  const route = matchRoute(compiled, service, head.method, pathOfTarget(head.target));
  if (route === null) throw new BehalfError('route_unknown', { service });
  return route;
}

/** What the entry route needs, and what it may hand on (WIRE section 1, `scope`). */
function askedScopes({ route }: MatchedRoute): readonly string[] {
  return [...new Set([...route.scopes, ...route.passes])];
}

/** Stands on record from here on, also where the authority refuses. */
function noteRoute(env: CallEnvironment, { records }: MeshCall, route: MatchedRoute): void {
  const record = records[0] as MeshCall['records'][number];
  record.route = route.name;
  record.numbers = env.state.numbers();
}

function take(env: CallEnvironment, call: MeshCall, root: VerifiedRoot): void {
  const record = call.records[0] as MeshCall['records'][number];
  noteDelegation(record, root);
  checkFresh(env);
  const hit = env.state.revocations.hit(root.revocable);
  if (hit !== null) throw new BehalfError(revocationCode(hit), { kind: hit.kind });
  call.revocable = root.revocable;
  call.delegated = true;
}

/** The entry workload decides for itself, as the one that acts. */
function decide(env: CallEnvironment, call: MeshCall, delegation: VerifiedRoot, route: MatchedRoute): void {
  const record = call.records[0] as MeshCall['records'][number];
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  record.numbers = env.state.numbers();
  const decision = decisionOf(env, compiled, delegation, route);
  record.policies = decision.policies;
  if (decision.kind === 'deny') throw new BehalfError(decision.code ?? 'policy_denied', decision.detail);
  call.stillAllowed = () => {
    const newer = env.state.snapshot();
    const again = newer === null ? null : decisionOf(env, newer, delegation, route);
    return again?.kind === 'deny' ? new BehalfError(again.code ?? 'policy_denied', again.detail) : null;
  };
}

function decisionOf(
  env: CallEnvironment,
  compiled: CompiledSnapshot,
  delegation: VerifiedRoot,
  route: MatchedRoute,
): Decision {
  return env.decisions.decide(compiled, { nowS: env.nowS(), caller: env.me, service: env.me, route, delegation });
}

function ownHead(env: CallEnvironment, call: MeshCall, { head, link }: TracedHead, root: VerifiedRoot): RequestHead {
  const { hop } = call.records[0] as MeshCall['records'][number];
  return appHead(env, head, call, {
    delegation: root,
    peer: null,
    hopId: Buffer.from(hop.hop, 'base64url'),
    requestId: Buffer.from(hop.request, 'base64url'),
    traceId: call.traceId,
    traceLink: link,
  });
}

/** Straight on to a peer: the entry's own hop, and below it a call like any other. */
function handOn(env: CallEnvironment, call: MeshCall, head: RequestHead, root: VerifiedRoot, peer: Peer): Verdict {
  const { hop, route } = call.records[0] as MeshCall['records'][number];
  const record = newHopRecord({
    side: 'SIDE_CALLER',
    caller: env.me,
    callee: peer.id,
    method: head.method,
    protocol: head.protocol,
    hop: { hop: env.hopMinter.next(), parent: hop.hop, request: hop.request },
  });
  record.route = route;
  call.records.push(record);
  call.outgoing = goOn(
    env,
    { parent: root, carrier: 'entry', parentHop: hop.hop, request: hop.request },
    { peer, record, head, asked: null },
  );
  call.stillAllowed = () => edgeRefusal(env, peer);
  return { kind: 'forward', call, target: { kind: 'peer', peer }, head: peerHead(head, peer, true) };
}

function withoutCredential(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'authorization') kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return kept;
}
