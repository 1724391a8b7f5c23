/**
 * A call of the own app to a peer: find the delegation that it belongs to (WIRE section 5), narrow it, and, once a connection
 * is chosen, sign the link that hands it on.
 */
import type { AuthorizationDetail, OutgoingChain, VerifiedChain, VerifiedRoot } from '../../../delegation/index.ts';
import { type DelegationHop, formatHop } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import {
  allowsContext,
  type CompiledSnapshot,
  type ContextWay,
  demandsOfCall,
  edgeOf,
  narrowOver,
  ownScopesOf,
  type SnapshotEdge,
} from '../../../policy/index.ts';
import { stripMeshHeaders } from '../../facts/index.ts';
import { type HopRecord, newHopRecord, noteDelegation } from '../../report/hop-record.ts';
import type { CallEnvironment } from '../environment.ts';
import { type HeaderList, pathOfTarget, type RequestHead } from '../head.ts';
import { type MeshCall, newMeshCall, type Outgoing } from '../mesh-call.ts';
import { recordChain } from '../recorded-chains.ts';
import type { Peer, SendFacts, Verdict } from '../seam.ts';
import { checkFresh, checkOwnStanding, ownSigner } from '../standing.ts';
import { revocationCode, withSigners } from '../streams.ts';
import { readAskedDetails } from './asked-details.ts';
import { narrowedTo, readAskedScope } from './asked-scope.ts';
import { readReference, resumedRoot } from './resumed.ts';

/** The way in which a call's delegation was found, and the place in the tree that it has. */
interface Found {
  readonly parent: VerifiedRoot | VerifiedChain;
  readonly carrier: ContextWay | 'deferred' | 'own' | 'entry';
  readonly parentHop: string | null;
  readonly request: string;
}

/** A call as it is about to go on. */
interface Onward {
  readonly peer: Peer;
  readonly record: HopRecord;
  readonly head: RequestHead;
  /** The app's wish for less. */
  readonly asked: readonly string[] | null;
  readonly askedDetails: readonly AuthorizationDetail[] | null;
}

/** Judges one call of the app; never throws. */
export async function judgeOutbound(env: CallEnvironment, head: RequestHead, to: Peer | null): Promise<Verdict> {
  const peer = to ?? env.peerNamed(head.authority);
  const call = newOutboundCall(env, head, peer);
  const record = call.records[0] as HopRecord;
  try {
    if (peer === null) throw new BehalfError('route_unknown', { host: head.authority.slice(0, 80) });
    checkOwnStanding(env);
    const asked = readAskedScope(head.headers);
    const askedDetails = readAskedDetails(head.headers);
    const found = await findDelegation(env, head, peer, record);
    call.outgoing = goOn(env, found, { peer, record, head, asked, askedDetails });
    call.delegated = true;
    call.revocable = found.parent.revocable;
    call.stillAllowed = () => edgeRefusal(env, peer);
    return { kind: 'forward', call, target: { kind: 'peer', peer }, head: peerHead(head, peer, to !== null) };
  } catch (thrown) {
    const error = thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown });
    return { kind: 'refuse', call, error };
  }
}

function newOutboundCall(env: CallEnvironment, head: RequestHead, peer: Peer | null): MeshCall {
  const hop: DelegationHop = { hop: env.hopMinter.next(), parent: null, request: newRequestId(env) };
  const record = newHopRecord({
    side: 'SIDE_CALLER',
    caller: env.me,
    callee: peer?.id ?? '',
    method: head.method,
    protocol: head.protocol,
    hop,
  });
  record.ownSerialHex = env.identity.current().serialHex;
  return newMeshCall('app', record, env.nowS());
}

export function newRequestId({ random }: CallEnvironment): string {
  return random(12).toString('base64url');
}

/** The context that the call names, or the workload's own authority where the edge is marked so. Never the latest request. */
async function findDelegation(env: CallEnvironment, head: RequestHead, peer: Peer, record: HopRecord): Promise<Found> {
  const reference = readReference(head.headers);
  if (reference !== null) {
    const compiled = env.state.snapshot();
    if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
    // What would be refused anyway takes no use: whether there is such a call at all, and whether it can be judged.
    checkFresh(env);
    edgeTo(env, compiled, peer);
    const { fresh } = demandsOfCall(compiled, peer.id, head.method, pathOfTarget(head.target));
    const parent = await resumedRoot(env, reference, fresh);
    return { parent, carrier: 'deferred', parentHop: null, request: record.hop.request };
  }
  const resolved = env.contexts.resolve(head.headers);
  if (resolved !== null) {
    const { delegation, hopId, requestId } = resolved.inbound;
    return {
      parent: delegation,
      carrier: resolved.carrier,
      parentHop: hopId.toString('base64url'),
      request: requestId.toString('base64url'),
    };
  }
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  const scopes = ownScopesOf(compiled, env.me, peer.id);
  if (scopes === null) throw new BehalfError('delegation_missing', { to: peer.id });
  const { fresh } = demandsOfCall(compiled, peer.id, head.method, pathOfTarget(head.target));
  const parent = await env.roots.forOwn(peer.id, scopes, fresh);
  return { parent, carrier: 'own', parentHop: null, request: record.hop.request };
}

/**
 * What the call goes on with: the edge must exist and says what it lets through, the app what it asks of that, and the route
 * what it demands.
 */
export function goOn(
  env: CallEnvironment,
  { parent, carrier, parentHop, request }: Found,
  { peer, record, head, asked, askedDetails }: Onward,
): Outgoing {
  noteDelegation(record, parent);
  record.carrier = carrier;
  record.hop = { hop: record.hop.hop, parent: parentHop, request };
  checkFresh(env);
  const hit = env.state.revocations.hit(parent.revocable);
  if (hit !== null) throw new BehalfError(revocationCode(hit), { kind: hit.kind });
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  record.numbers = env.state.numbers();
  const edge = edgeTo(env, compiled, peer);
  if (isContextWay(carrier) && !allowsContext(compiled, edge, carrier)) {
    throw new BehalfError('context_too_weak', {
      way: carrier,
      least: edge.min_context ?? compiled.snapshot.settings.min_context,
    });
  }
  const narrowTo = narrowedTo(asked, narrowOver(edge, parent.scope));
  record.scope = narrowTo.join(' ');
  return {
    peer,
    parent,
    narrowTo,
    askedDetails,
    detailTypes: compiled.detailTypes,
    shared: null,
    // A limit that an earlier link has set already, or a lower one, is not said again.
    maxDepth: edge.max_depth !== null && edge.max_depth < parent.maxDepth ? edge.max_depth : null,
    next: edge.next,
    demands: demandsOfCall(compiled, peer.id, head.method, pathOfTarget(head.target)),
    record,
    parentHop,
    request,
    attempts: 0,
  };
}

/** @throws {BehalfError} `snapshot_stale`, `policy_denied` */
function edgeTo(env: CallEnvironment, compiled: CompiledSnapshot, { id: to }: Peer): SnapshotEdge {
  if (env.nowS() > compiled.validUntilS) throw new BehalfError('snapshot_stale', { validUntil: compiled.validUntilS });
  const edge = edgeOf(compiled, env.me, to);
  if (edge === null) throw new BehalfError('policy_denied', { why: 'no edge', from: env.me, to });
  return edge;
}

/** Whether the app named a request by it; the others name none, and say by themselves whose call it is. */
function isContextWay(carrier: Found['carrier']): carrier is ContextWay {
  return carrier !== 'own' && carrier !== 'entry' && carrier !== 'deferred';
}

/** What a running call is ended with where a newer snapshot has its edge no more, or null; all else is the receiver's to judge. */
export function edgeRefusal(env: CallEnvironment, peer: Peer): BehalfError | null {
  const compiled = env.state.snapshot();
  if (compiled === null || edgeOf(compiled, env.me, peer.id) !== null) return null;
  return new BehalfError('policy_denied', { why: 'no edge', from: env.me, to: peer.id });
}

/** The head that the peer gets, without what the connection adds: no carrier of ours leaves, used or not. */
export function peerHead(head: RequestHead, peer: Peer, byPort: boolean): RequestHead {
  // On a peer's own port the app writes our address as the host, which means nothing there.
  return { ...head, authority: byPort ? peer.name : head.authority, headers: stripMeshHeaders(head.headers) };
}

/**
 * Signs the hand-over for one attempt on one connection, with the WIT that belongs to its certificate.
 * @throws {BehalfError} as `mintLink`; `details_exhausted`, `overloaded` as `DetailShares`; `delegation_revoked`, `consent_withdrawn` where a revocation hits the delegation, the peer or
 *   the identity of this connection by now
 */
export function sendFields(env: CallEnvironment, call: MeshCall, connection: SendFacts): HeaderList {
  const { outgoing } = call;
  if (outgoing === null || outgoing.parent === null)
    throw new BehalfError('internal', { why: 'no delegation to send' });
  const { parent, peer, record } = outgoing;
  noteAttempt(env, outgoing, connection);
  const { peerCertificateS256: certificate, peerIssuedS: iat } = connection;
  const callee = { iat, workload: peer.id, certificate, jti: null, kid: null };
  call.revocable = withSigners(parent.revocable, [callee, ownSigner(connection.identity)]);
  // The call was judged before there was a connection: who is at its two ends is known only now.
  const hit = env.state.revocations.isEmpty ? null : env.state.revocations.hit(call.revocable);
  if (hit !== null) throw new BehalfError(revocationCode(hit), { kind: hit.kind });
  const chain = linkFor(env, outgoing, parent, connection);
  record.chainId = chain.chainId;
  record.depth = chain.depth;
  record.scope = chain.scope.join(' ');
  record.actors = parent.parent.workloads;
  const hop = ['delegation-hop', formatHop(record.hop)];
  const slot = chain.chainId.toString('base64url');
  if (connection.slots.acknowledged(slot)) return ['delegation-slot', slot, ...hop];
  return [
    'txn-token',
    chain.txnToken,
    'delegation-chain',
    chain.delegationChain,
    'delegation-credentials',
    chain.delegationCredentials,
    ...hop,
  ];
}

/**
 * The chain for one attempt, which stands on record from here on. A share of what can be spent is taken once for each receiver's
 * pod: a repeated attempt at the same one carries the same link, which counts once there; at another one it takes a share of its
 * own, since the first may have been kept by whoever said that it was not processed.
 */
function linkFor(
  env: CallEnvironment,
  outgoing: Outgoing,
  parent: VerifiedRoot | VerifiedChain,
  { peerCertificateS256, identity }: SendFacts,
): OutgoingChain {
  const { shared, askedDetails, detailTypes, peer, narrowTo, maxDepth, next, demands } = outgoing;
  const nowS = env.nowS();
  if (shared?.certificateS256 === peerCertificateS256 && shared.witS256 === identity.witS256) return shared.chain;
  const share = env.shares.take(parent, askedDetails, detailTypes);
  try {
    const { chain, isNew } = env.links.get({
      parent,
      to: peer.id,
      narrowTo,
      details: share.details,
      detailTypes,
      divided: share.divided,
      maxDepth,
      next,
      rte: demands.rte,
      once: demands.once ? peerCertificateS256 : null,
      signer: identity,
      nowS,
    });
    if (isNew) {
      const { chainId, txnToken, delegationChain, delegationCredentials } = chain;
      recordChain(env, { chainId, txnToken, delegationChain, delegationCredentials });
    }
    if (share.divided) outgoing.shared = { certificateS256: peerCertificateS256, witS256: identity.witS256, chain };
    return chain;
  } catch (thrown) {
    // Nothing of it has left: the share is whole again.
    share.giveBack();
    throw thrown;
  }
}

/** Each attempt has a hop id of its own (WIRE section 2); the record is of the last one. */
function noteAttempt(env: CallEnvironment, outgoing: Outgoing, connection: SendFacts): void {
  const { record, parentHop, request } = outgoing;
  outgoing.attempts += 1;
  if (outgoing.attempts > 1) record.hop = { hop: env.hopMinter.next(), parent: parentHop, request };
  record.ownSerialHex = connection.identity.serialHex;
  record.peerSerialHex = connection.peerSerialHex;
  record.clock = connection.clock;
}
