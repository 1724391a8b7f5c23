/**
 * A request from outside the mesh (DESIGN section 4): nothing of the mesh's own is believed, exactly one credential is taken,
 * exchanged for a root at the authority, and stays here. Then it is the own app's, or goes straight on to a peer.
 */
import type { VerifiedRoot } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import type { SpiffeId } from '../../../identity/index.ts';
import { type CompiledSnapshot, type Decision, type MatchedRoute, matchRoute } from '../../../policy/index.ts';
import { newHopRecord, noteDelegation } from '../../report/hop-record.ts';
import { beginTrace, noteTrace, type TracedHead } from '../context/traces.ts';
import type { CallEnvironment } from '../environment.ts';
import { type HeaderList, pathOfTarget, type RequestHead } from '../head.ts';
import { appHead } from '../inbound/inbound.ts';
import { type MeshCall, newMeshCall } from '../mesh-call.ts';
import { readDetailsField } from '../outbound/asked-details.ts';
import { newRequestId } from '../outbound/outbound.ts';
import type { EntryFrom, Verdict } from '../seam.ts';
import { checkFresh, checkOwnStanding } from '../standing.ts';
import { revocationCode } from '../streams.ts';
import { presentedCredential, schemeOf } from './credentials.ts';
import { fieldsInside, verifiedCredential } from './entry-credential.ts';
import { handOn } from './hand-on.ts';
import { judgePublic } from './public-entry.ts';
import { asksForMetadata, metadataAnswer } from './resource-metadata.ts';

/** Judges one request; never throws. */
export async function judgeEntry(env: CallEnvironment, head: RequestHead, from: EntryFrom): Promise<Verdict> {
  if (env.entry.metadata !== null && asksForMetadata(head)) {
    const answer = metadataAnswer(env, from, env.entry.metadata);
    if (answer !== null) return answer;
  }
  const call = newEntryCall(env, head, from);
  try {
    const traced = beginTrace(env, call, head);
    checkOwnStanding(env);
    if (from.defect !== null) throw from.defect;
    const credential = presentedCredential(head.headers);
    const compiled = env.state.snapshot();
    if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
    const { forward } = env.entry;
    const route = routeOf(compiled, forward?.id ?? env.me, head);
    noteRoute(env, call, route);
    if (credential.kind === 'none') return await judgePublic(env, call, traced.head, route);
    const shown = verifiedCredential(env, credential, head, from);
    const root = await env.roots.forCredential(shown, {
      scopes: askedScopes(route),
      fresh: route.route.fresh,
      details: askedDetails(head.headers, route),
    });
    // Only now, so that whoever has no token that counts leaves nothing behind.
    if (shown.kind === 'access_token' && shown.proof !== null) env.entry.proofs.take(shown.proof, env.nowS());
    take(env, call, root);
    const clean = { ...traced.head, headers: fieldsInside(traced.head.headers) };
    if (forward !== null) return handOn(env, call, clean, { parent: root, carrier: 'entry' }, forward);
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

function newEntryCall(env: CallEnvironment, head: RequestHead, { address, origin }: EntryFrom): MeshCall {
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
  const { challenge, nonces } = env.entry;
  const scheme = schemeOf(head.headers);
  const nonce = nonces?.current(env.nowS()) ?? null;
  const call = newMeshCall('outside', record, env.nowS(), (code) => challenge(code, { scheme, origin, nonce }));
  if (scheme === 'DPoP') call.proofNonce = nonce;
  return call;
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

/**
 * Which details the root is to have (RFC 9396): what the client says in `Delegation-Details`, else all that is granted and left of
 * the types that the route demands. UNTRUSTED: the field; it can only narrow what the credential was granted.
 * @throws {BehalfError} `request_malformed` for the field twice or spelled otherwise
 */
function askedDetails(headers: HeaderList, { route }: MatchedRoute): string {
  const wished = readDetailsField(headers);
  if (wished !== null) return wished;
  return route.details.length === 0 ? '' : JSON.stringify(route.details.map((type) => ({ type })));
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
  noteTrace(env, call);
  return appHead(env, head, call, {
    delegation: root,
    peer: null,
    hopId: Buffer.from(hop.hop, 'base64url'),
    requestId: Buffer.from(hop.request, 'base64url'),
    traceId: call.traceId,
    traceLink: link,
  });
}
