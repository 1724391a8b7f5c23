/**
 * The hooks of `--mode mtls`, for development only: mutual TLS and the record, no delegation and no policy. Each call still
 * carries `Delegation-Hop`, so that both sides' events join.
 */
import type { Reporter } from '../../audit/report/index.ts';
import { formatHop, type HopMinter } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { stripMeshHeaders } from '../facts/index.ts';
import { hopEndEvent, newHopRecord } from '../report/hop-record.ts';
import type { RequestHead } from './head.ts';
import { onPeerAnswer, recordHead, trailerDefect } from './hooks.ts';
import { hopIfReadable } from './inbound/carried.ts';
import { type MeshCall, newMeshCall } from './mesh-call.ts';
import type { CallHooks, Peer } from './seam.ts';

export interface MtlsEnvironment {
  readonly identity: OwnIdentity;
  readonly me: SpiffeId;
  readonly reporter: Reporter;
  readonly hopMinter: HopMinter;
  readonly nowS: () => number;
  readonly random: (bytes: number) => Buffer;
  peerNamed(authority: string): Peer | null;
}

export function createMtlsHooks(env: MtlsEnvironment): CallHooks {
  const newHop = () => ({ hop: env.hopMinter.next(), parent: null, request: env.random(12).toString('base64url') });
  const strip = (head: RequestHead): RequestHead => ({ ...head, headers: stripMeshHeaders(head.headers) });

  return {
    onInbound(head, peer) {
      const hop = hopIfReadable(head.headers) ?? newHop();
      const { method, protocol } = head;
      const record = newHopRecord({
        side: 'SIDE_CALLEE',
        caller: peer.spiffeId,
        callee: env.me,
        method,
        protocol,
        hop,
      });
      record.ownSerialHex = peer.ownSerialHex;
      record.peerSerialHex = peer.serialHex;
      record.clock = peer.clock;
      record.carrier = 'wire';
      const call = newMeshCall('mesh', record, env.nowS());
      if (!(env.nowS() < peer.notAfterS)) {
        return {
          kind: 'refuse',
          call,
          error: new BehalfError('peer_untrusted', { rule: 'expired', serial: peer.serialHex }),
        };
      }
      return { kind: 'forward', call, target: { kind: 'app' }, head: strip(head) };
    },
    onOutbound(head, to) {
      const peer = to ?? env.peerNamed(head.authority);
      const { method, protocol } = head;
      const hop = newHop();
      const record = newHopRecord({
        side: 'SIDE_CALLER',
        caller: env.me,
        callee: peer?.id ?? '',
        method,
        protocol,
        hop,
      });
      const call = newMeshCall('app', record, env.nowS());
      if (peer === null)
        return { kind: 'refuse', call, error: new BehalfError('route_unknown', { host: head.authority.slice(0, 80) }) };
      const authority = to === null ? head.authority : peer.name;
      return { kind: 'forward', call, target: { kind: 'peer', peer }, head: { ...strip(head), authority } };
    },
    onExit(head, exit) {
      const { method, protocol } = head;
      const record = newHopRecord({ side: 'SIDE_EXIT', caller: env.me, callee: '', method, protocol, hop: newHop() });
      record.exit = exit;
      const call = newMeshCall('app', record, env.nowS());
      return { kind: 'refuse', call, error: new BehalfError('policy_denied', { why: 'mode mtls has no exits' }) };
    },
    onEntry(head) {
      const { method, protocol } = head;
      const record = newHopRecord({ side: 'SIDE_ENTRY', caller: '', callee: env.me, method, protocol, hop: newHop() });
      const call = newMeshCall('outside', record, env.nowS());
      return { kind: 'refuse', call, error: new BehalfError('delegation_missing', { why: 'mode mtls has no entry' }) };
    },
    onSend(call, connection) {
      const record = (call as MeshCall).records[0] as MeshCall['records'][number];
      // Each attempt has a hop id of its own; the first was given at the start.
      if (record.peerSerialHex !== '') record.hop = { ...record.hop, hop: env.hopMinter.next() };
      record.ownSerialHex = connection.identity.serialHex;
      record.peerSerialHex = connection.peerSerialHex;
      record.clock = connection.clock;
      return ['delegation-hop', formatHop(record.hop)];
    },
    answerFields: () => [],
    onPeerAnswer,
    onHead: (call, answered) => recordHead(env, call as MeshCall, answered),
    onEnd(call, ended) {
      if (ended === null) return;
      for (const record of (call as MeshCall).records) env.reporter.record(hopEndEvent(record, ended)).catch(ignore);
    },
    trailerDefect,
    strip: stripMeshHeaders,
  };
}

function ignore(): void {}
