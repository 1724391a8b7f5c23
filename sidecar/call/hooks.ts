/** The hooks of `seam.ts`, made of the steps of a call: who judges, what is recorded, what runs and must end. */

import { BehalfError, type ErrorCode, isErrorCode } from '../../errors/index.ts';
import { stripMeshHeaders } from '../facts/index.ts';
import { hopEndEvent, hopEvent } from '../report/hop-record.ts';
import { credentialInTrailers } from './entry/credentials.ts';
import { judgeEntry } from './entry/entry.ts';
import type { CallEnvironment } from './environment.ts';
import { type AnswerHead, fieldOf, type HeaderList } from './head.ts';
import { carriedInTrailers } from './inbound/carried.ts';
import { judgeInbound } from './inbound/inbound.ts';
import type { MeshCall } from './mesh-call.ts';
import { exitMeant, judgeExit } from './outbound/exit.ts';
import { judgeOutbound, sendFields } from './outbound/outbound.ts';
import { forgetRecorded } from './recorded-chains.ts';
import type { Answered, Call, CallHooks, Ended, SendFacts, Verdict } from './seam.ts';

export function createCallHooks(env: CallEnvironment): CallHooks {
  return {
    onInbound: (head, peer) => started(env, judgeInbound(env, head, peer)),
    async onOutbound(head, peer) {
      const exit = peer === null ? exitMeant(env, head.authority) : null;
      return started(env, await (exit === null ? judgeOutbound(env, head, peer) : judgeExit(env, head, exit)));
    },
    onExit: async (head, exit) => started(env, await judgeExit(env, head, exit)),
    onEntry: async (head, from) => started(env, await judgeEntry(env, head, from)),
    onSend: (call, connection) => sendFields(env, call as MeshCall, connection),
    answerFields(call) {
      const { slot, proofNonce } = call as MeshCall;
      if (proofNonce !== null) return ['dpop-nonce', proofNonce];
      return slot === null ? [] : ['delegation-slot', slot];
    },
    onPeerAnswer,
    onHead: (call, answered) =>
      isCounted(env, call as MeshCall, answered)
        ? Promise.resolve()
        : recordHead(env, call as MeshCall, answered, () => forgetRecorded(env)),
    onEnd: (call, ended) => recordEnd(env, call as MeshCall, ended),
    trailerDefect,
    strip: stripMeshHeaders,
  };
}

/**
 * A peer that puts what it carries into trailers is refused, and so is a client outside with what it enters with; what others write
 * under these names means nothing and is taken out.
 */
export function trailerDefect({ audience }: Pick<Call, 'audience'>, trailers: HeaderList): BehalfError | null {
  switch (audience) {
    case 'mesh':
      return inTrailers('delegation_malformed', carriedInTrailers(trailers));
    case 'outside':
      return inTrailers('request_malformed', credentialInTrailers(trailers));
    case 'app':
      return null;
    default:
      return audience satisfies never;
  }
}

function inTrailers(code: ErrorCode, object: string | null): BehalfError | null {
  return object === null ? null : new BehalfError(code, { object, why: 'in trailers' });
}

/** INVARIANT: a call that was let in stands in the index from the turn in which it was judged, so that no revocation misses it. */
function started(env: CallEnvironment, verdict: Verdict): Verdict {
  if (verdict.kind === 'forward') env.running.add(verdict.call as MeshCall);
  return verdict;
}

/** Takes the slot that the peer acknowledges, if it is of the chain that this call carried; gives the code if the peer's sidecar refused. */
export function onPeerAnswer(call: Call, connection: SendFacts, head: AnswerHead): ErrorCode | null {
  const slot = fieldOf(head.headers, 'delegation-slot');
  // UNTRUSTED: a peer that acknowledges what it never got would fill our table with its own texts.
  if (slot !== null && (call as MeshCall).records.at(-1)?.chainId.toString('base64url') === slot) {
    connection.slots.acknowledge(slot);
  }
  const code = fieldOf(head.headers, 'delegation-error');
  return code !== null && isErrorCode(code) ? code : null;
}

/**
 * Whether a refusal is only counted (`report/refused-connections.ts`). UNTRUSTED: a stranger can be refused as often as they like, and
 * a full spool would deny everyone else's calls. What is refused to one whose credential was taken is always written.
 */
function isCounted({ refusedCalls }: CallEnvironment, { records, audience }: MeshCall, answered: Answered): boolean {
  const record = records[0];
  if (audience !== 'outside' || answered.outcome !== 'refused' || record === undefined) return false;
  if (record.delegation !== null || answered.code === null) return false;
  return !refusedCalls.admits('entry', answered.code, record.peerAddress);
}

/** One event a side; all of one turn go to the kernel together. */
export async function recordHead(
  env: Pick<CallEnvironment, 'reporter' | 'me'>,
  call: MeshCall,
  answered: Answered,
  onFailure: () => void = ignore,
): Promise<void> {
  // The peer of a call is the callee of its last record, also where an entry handed the request on.
  const refusedBy = answered.byPeer ? (call.records.at(-1)?.callee ?? '') : env.me;
  try {
    const written = call.records.map((record) => env.reporter.record(hopEvent(record, answered, refusedBy)));
    await Promise.all(written);
  } catch (thrown) {
    onFailure();
    throw thrown;
  }
}

function recordEnd(
  env: Pick<CallEnvironment, 'reporter' | 'running' | 'contexts'>,
  call: MeshCall,
  ended: Ended | null,
): void {
  env.running.remove(call);
  if (call.handle !== null) env.contexts.ended(call.handle);
  if (call.traceId !== null) env.contexts.traceEnded(call.traceId);
  if (ended === null) return;
  for (const record of call.records) {
    // The answer is out already: what cannot be recorded now is closed as unknown by the spool after a restart.
    env.reporter.record(hopEndEvent(record, ended)).catch(ignore);
  }
}

function ignore(): void {}
