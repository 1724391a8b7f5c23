/**
 * The first phase of a call in the relay: the request goes to the app or to a peer, again on another connection where the one
 * before certainly did nothing with it, until there is an answer's head. What becomes of that is `answering.ts`'s.
 */
import { BehalfError, isErrorCode } from '../../errors/index.ts';
import type { RequestHead } from '../call/head.ts';
import type { CallHooks, ExitTarget, Peer, SendFacts, Target } from '../call/seam.ts';
import type { Answer, Line, NoAnswer } from './exchange.ts';
import { headBytes, MAX_MESH_HEAD_BYTES } from './fields.ts';
import type { Running } from './running.ts';

/** Attempts of one call on other connections, each only if the one before was certainly not processed. */
const MAX_ATTEMPTS = 3;

/** A connection to a peer that takes requests. */
export interface PeerLine extends Line {
  readonly facts: SendFacts;
}

export interface AskingOptions {
  readonly hooks: CallHooks;
  readonly app: Line | null;
  /** @throws BehalfError `upstream_unavailable`, `peer_untrusted`, `overloaded` */
  peerLine(peer: Peer): Promise<PeerLine> | PeerLine;
  /** @throws BehalfError `exit_untrusted`, `exit_address_refused`, `upstream_unavailable`, `overloaded` */
  exitLine(exit: ExitTarget, protocol: RequestHead['protocol']): Promise<Line>;
  readonly showInnerCodes: boolean;
}

export interface Asking {
  /** @throws {BehalfError} why there is no answer, or none that may be given away */
  ask(run: Running, head: RequestHead, target: Target): Promise<Answer>;
}

export function createAsking({ hooks, app, peerLine, exitLine, showInnerCodes }: AskingOptions): Asking {
  async function askApp(run: Running, head: RequestHead): Promise<Answer> {
    if (app === null) throw new BehalfError('upstream_unavailable', { why: 'no app is configured' });
    let answer = await attempt(run, app, head);
    if (mayRepeat(run, answer)) answer = await attempt(run, app, head);
    if (answer.kind === 'none') throw new BehalfError('upstream_unavailable', { to: 'app', why: answer.why });
    return answer;
  }

  async function askPeer(run: Running, head: RequestHead, peer: Peer): Promise<Answer> {
    let last: NoAnswer | null = null;
    for (let n = 0; n < MAX_ATTEMPTS; n += 1) {
      const line = await peerLine(peer);
      if (run.ending !== null) throw run.ending;
      const headers = [...head.headers, ...hooks.onSend(run.call, line.facts)];
      const bytes = headBytes(headers) + head.target.length + head.authority.length;
      if (bytes > MAX_MESH_HEAD_BYTES) throw new BehalfError('delegation_too_large', { object: 'head', size: bytes });
      const answer = await attempt(run, line, { ...head, headers });
      if (answer.kind === 'answer') return refusedByPeer(run, line, answer);
      last = answer;
      if (!mayRepeat(run, answer)) break;
    }
    throw new BehalfError('upstream_unavailable', { to: peer.name, why: last?.why ?? '' });
  }

  /** What the head carries is for this destination alone, so that a further attempt needs no other. */
  async function askExit(run: Running, head: RequestHead, exit: ExitTarget): Promise<Answer> {
    let last: NoAnswer | null = null;
    for (let n = 0; n < MAX_ATTEMPTS; n += 1) {
      const line = await exitLine(exit, head.protocol);
      if (run.ending !== null) throw run.ending;
      const answer = await attempt(run, line, head);
      if (answer.kind === 'answer') return answer;
      last = answer;
      if (!mayRepeat(run, answer)) break;
    }
    const why = last?.why ?? '';
    // A further connection did not prove what the first did: `why` is then its code.
    throw new BehalfError(isErrorCode(why) ? why : 'upstream_unavailable', { to: exit.name, why });
  }

  function attempt(run: Running, line: Line, head: RequestHead): Promise<Answer | NoAnswer> {
    if (run.gone) return Promise.resolve({ kind: 'none', why: 'the caller went away', unprocessed: true });
    const { hasBody } = run.asker;
    const asked = line.ask(head, hasBody);
    run.asked = asked;
    // Of a WebSocket nothing goes on before it is granted.
    if (hasBody && run.frames === null) run.requestPump.attach(asked.body);
    return asked.answer;
  }

  function mayRepeat(run: Running, answer: Answer | NoAnswer): boolean {
    return (
      answer.kind === 'none' && answer.unprocessed && run.requestPump.replayable() && run.ending === null && !run.gone
    );
  }

  /** A sidecar that refuses says so in a field that apps cannot set; its own body goes on to our app as it is. */
  function refusedByPeer(run: Running, line: PeerLine, answer: Answer): Answer {
    const code = hooks.onPeerAnswer(run.call, line.facts, answer.head);
    if (code === null) return answer;
    if (run.call.audience === 'outside' && !showInnerCodes) {
      run.asked?.cancel();
      throw new BehalfError(code, { refusedBy: 'peer' });
    }
    return answer;
  }

  return {
    ask(run, head, target) {
      switch (target.kind) {
        case 'app':
          return askApp(run, head);
        case 'peer':
          return askPeer(run, head, target.peer);
        case 'exit':
          return askExit(run, head, target.exit);
        default:
          return target satisfies never;
      }
    },
  };
}
