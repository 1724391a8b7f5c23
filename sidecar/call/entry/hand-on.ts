/** An entry that hands requests straight on to a peer: its own hop, and below it a call like any other. */
import type { VerifiedRoot } from '../../../delegation/index.ts';
import { newHopRecord } from '../../report/hop-record.ts';
import type { CallEnvironment } from '../environment.ts';
import type { RequestHead } from '../head.ts';
import type { MeshCall } from '../mesh-call.ts';
import { edgeRefusal, goOn, peerHead } from '../outbound/outbound.ts';
import type { Peer, Verdict } from '../seam.ts';

/** Straight on to a peer: the entry's own hop, and below it a call like any other. */
export function handOn(
  env: CallEnvironment,
  call: MeshCall,
  head: RequestHead,
  { parent, carrier }: { readonly parent: VerifiedRoot; readonly carrier: 'entry' | 'own' },
  peer: Peer,
): Verdict {
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
    { parent, carrier, parentHop: hop.hop, request: hop.request },
    { peer, record, head, asked: null, askedDetails: parent.authorizationDetails },
  );
  call.stillAllowed = () => edgeRefusal(env, peer);
  return { kind: 'forward', call, target: { kind: 'peer', peer }, head: peerHead(head, peer, true) };
}
