/**
 * A call from a peer to the own app: the verification order of WIRE section 3, step by step, then the app's head. The first
 * failure wins and is the call's answer and record.
 */
import { type VerifiedChain, verifyChain } from '../../../delegation/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { demandsOfRoute, type MatchedRoute, matchRoute } from '../../../policy/index.ts';
import type { ChainBody } from '../../../proto/behalf/audit/v1/audit.ts';
import { factHeaders, stripMeshHeaders, stripRouteOverrides } from '../../facts/index.ts';
import { newHopRecord, noteDelegation } from '../../report/hop-record.ts';
import { takeTrace } from '../context/traces.ts';
import type { CallEnvironment } from '../environment.ts';
import { checkNoAccessToken } from '../foreign-token.ts';
import { fieldOf, type HeaderList, pathOfTarget, type RequestHead } from '../head.ts';
import { type MeshCall, newMeshCall } from '../mesh-call.ts';
import { recordChain } from '../recorded-chains.ts';
import type { PeerFacts, Verdict } from '../seam.ts';
import { checkOwnStanding, checkPeerStanding, ownSigner, rootContext, signerOf } from '../standing.ts';
import { withSigners } from '../streams.ts';
import { type Carried, hopIfReadable, readCarried } from './carried.ts';

/** Judges one call of a peer; never throws. */
export function judgeInbound(env: CallEnvironment, head: RequestHead, peer: PeerFacts): Verdict {
  const call = newInboundCall(env, head, peer);
  try {
    return { kind: 'forward', call, target: { kind: 'app' }, head: admit(env, head, peer, call) };
  } catch (thrown) {
    const error = thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown });
    return { kind: 'refuse', call, error: env.limits.failed(peer.spiffeId, error) };
  }
}

/** The record begins with the hop id that the caller gave, so that both sides join even where the call is refused. */
function newInboundCall(env: CallEnvironment, head: RequestHead, peer: PeerFacts): MeshCall {
  const hop = hopIfReadable(head.headers) ?? {
    hop: env.hopMinter.next(),
    parent: null,
    request: env.random(12).toString('base64url'),
  };
  const record = newHopRecord({
    side: 'SIDE_CALLEE',
    caller: peer.spiffeId,
    callee: env.me,
    method: head.method,
    protocol: head.protocol,
    hop,
  });
  record.ownSerialHex = peer.ownSerialHex;
  record.peerSerialHex = peer.serialHex;
  record.peerAddress = peer.address;
  record.clock = peer.clock;
  record.carrier = 'wire';
  const call = newMeshCall('mesh', record, env.nowS());
  call.peer = peer.spiffeId;
  return call;
}

/** All steps in their order; gives the head that the app gets. */
function admit(env: CallEnvironment, head: RequestHead, peer: PeerFacts, call: MeshCall): RequestHead {
  const record = call.records[0] as MeshCall['records'][number];
  // Of any kind: one that is refused counts too.
  const traced = takeTrace(env, call, head, peer.spiffeId);
  env.running.checkRoom(peer.spiffeId);
  checkOwnStanding(env);
  const compiled = env.state.snapshot();
  checkNoAccessToken(head.headers, [env.identity.bundle().issuer, ...(compiled?.snapshot.token_issuers ?? [])]);
  const carried = readCarried(
    head.headers,
    peer.slots,
    (compact) => env.chains.findWit(peer.spiffeId, compact)?.wit ?? null,
  ); // 1
  checkPeerStanding(env, peer); // 2
  const route = compiled === null ? null : matchRoute(compiled, env.me, head.method, pathOfTarget(head.target));
  if (route !== null) record.route = route.name;
  const chain = verifyChain(carried.parsed, {
    ...rootContext(env),
    peer: { spiffeId: peer.spiffeId, certificateS256: peer.certificateS256, skewS: skewSOf(peer) },
    witKey: (kid) => env.identity.bundle().witKeys.get(kid) ?? null,
    route: route?.name ?? null,
    myCertificateS256: peer.ownCertificateS256,
    onceStore: env.onceStore,
    ...(compiled === null ? {} : { detailTypes: compiled.detailTypes }),
    cache: env.chains,
    beforeSignatures: () => env.limits.firstSeen(peer.spiffeId),
  }); // 3 to 8
  noteDelegation(record, chain);
  if (!chain.fromCache) recordChain(env, chainBody(chain));
  env.hopWindow.take(peer.spiffeId, carried.hop.hop, env.nowS()); // 8
  checkBound(route, chain); // 9, what the route demands of the link itself
  acknowledge(carried, chain, peer, call);
  decide(env, call, peer, route, chain); // 9
  call.revocable = withSigners(chain.revocable, [signerOf(peer), ownSigner(env.identity.current())]);
  call.delegated = true;
  call.stillAllowed = () => refusalOf(env, peer, route, chain);
  return appHead(env, traced, call, {
    delegation: chain,
    peer: peer.spiffeId,
    hopId: Buffer.from(carried.hop.hop, 'base64url'),
    requestId: Buffer.from(carried.hop.request, 'base64url'),
    traceId: call.traceId,
    traceLink: null,
  }); // 10
}

/** Seconds, for the error of a time check. */
function skewSOf({ clock: { skewMs } }: PeerFacts): number | null {
  return skewMs === null ? null : skewMs / 1000;
}

function chainBody({ chainId, parent }: VerifiedChain): ChainBody {
  const { txnToken, delegationChain, delegationCredentials } = parent;
  return { chainId, txnToken, delegationChain, delegationCredentials };
}

/**
 * The last link is bound as the route demands. Step 7 and 8 have judged what it is bound to.
 * @throws {BehalfError} `delegation_wrong_route`
 */
function checkBound(route: MatchedRoute | null, { rte, once }: VerifiedChain): void {
  const demands = demandsOfRoute(route);
  if (demands.rte !== null && rte === null) {
    throw new BehalfError('delegation_wrong_route', {
      route: demands.rte,
      why: 'takes only links that are bound to it',
    });
  }
  if (demands.once && once === null) {
    throw new BehalfError('delegation_wrong_route', { route: demands.rte, why: 'takes only links that are good once' });
  }
}

/**
 * From here on the caller may name this chain by slot on this connection, whatever is decided about this one call. One that is
 * bound to this call takes no room: it never comes again.
 */
function acknowledge(carried: Carried, chain: VerifiedChain, peer: PeerFacts, call: MeshCall): void {
  if (carried.bySlot || peer.slots === null || chain.rte !== null || chain.once !== null) return;
  const slot = chain.chainId.toString('base64url');
  if (peer.slots.put(slot, carried.parsed, chain.expS)) call.slot = slot;
}

function decide(
  env: CallEnvironment,
  call: MeshCall,
  peer: PeerFacts,
  route: MatchedRoute | null,
  chain: VerifiedChain,
): void {
  const record = call.records[0] as MeshCall['records'][number];
  const compiled = env.state.snapshot();
  if (compiled === null) throw new BehalfError('snapshot_stale', { why: 'no snapshot' });
  record.numbers = env.state.numbers();
  const decision = env.decisions.decide(compiled, {
    nowS: env.nowS(),
    caller: peer.spiffeId,
    service: env.me,
    route,
    delegation: chain,
  });
  record.policies = decision.policies;
  if (decision.kind === 'deny') throw new BehalfError(decision.code ?? 'policy_denied', decision.detail);
}

/** What a running call is ended with under a newer snapshot, or null. */
function refusalOf(
  env: CallEnvironment,
  peer: PeerFacts,
  route: MatchedRoute | null,
  delegation: VerifiedChain,
): BehalfError | null {
  const compiled = env.state.snapshot();
  if (compiled === null) return null;
  const decision = env.decisions.decide(compiled, {
    nowS: env.nowS(),
    caller: peer.spiffeId,
    service: env.me,
    route,
    delegation,
  });
  return decision.kind === 'deny' ? new BehalfError(decision.code ?? 'policy_denied', decision.detail) : null;
}

/** The head for the app: nothing of the mesh but what this sidecar says. */
export function appHead(
  env: CallEnvironment,
  head: RequestHead,
  call: MeshCall,
  inbound: Parameters<typeof factHeaders>[0],
): RequestHead {
  const { rest, baggage } = partBaggage(stripMeshHeaders(stripRouteOverrides(head.headers)));
  call.handle = env.contexts.open(inbound);
  return { ...head, headers: [...rest, ...factHeaders(inbound, call.handle, baggage)] };
}

/** The facts bring a `baggage` of their own, into which the app's members go. */
function partBaggage(headers: HeaderList): { rest: HeaderList; baggage: string | null } {
  if (fieldOf(headers, 'baggage') === null) return { rest: headers, baggage: null };
  const rest: string[] = [];
  const members: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'baggage') members.push(headers[i + 1] as string);
    else rest.push(headers[i] as string, headers[i + 1] as string);
  }
  return { rest, baggage: members.join(',') };
}
