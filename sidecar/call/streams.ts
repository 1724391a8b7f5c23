/**
 * The calls that run, and what must end them (DESIGN section 4): a revocation of anything that they name, live state that
 * went stale, a policy that no longer allows them, the longest life of a stream. Bounded by the relay's limit of calls.
 */
import { type RevocableFacts, type Revocation, type RevocationSource, revocationHits } from '../../delegation/index.ts';
import { BehalfError, type ErrorCode } from '../../errors/index.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { MeshCall } from './mesh-call.ts';

const SWEEP_MS = 250;

export interface RunningCalls {
  add(call: MeshCall): void;
  /** @throws {BehalfError} `overloaded`: as many calls of that peer run as may */
  checkRoom(peer: SpiffeId): void;
  remove(call: MeshCall): void;
  /** Ends what a revocation hits; gives how many. */
  revoke(revocation: Revocation, source: RevocationSource): number;
  /** Judges each again under a new snapshot. */
  rejudge(): void;
  size(): number;
  close(): void;
}

export interface RunningCallsOptions {
  /** Told of a call that threw while it was being ended. */
  onFailure(error: unknown): void;
  /** Whether the policy snapshot is past its own end: then nothing may go on under it. */
  isSnapshotOver(): boolean;
  /** Throws `revocation_stale` where live state that bears on such calls is too old. */
  checkFresh(delegated: boolean): void;
  readonly maxAgeS: () => number;
  /** Calls of one peer that may run at once. */
  readonly maxPerPeer: number;
  readonly nowS: () => number;
}

export function createRunningCalls({
  onFailure,
  isSnapshotOver,
  checkFresh,
  maxAgeS,
  maxPerPeer,
  nowS,
}: RunningCallsOptions): RunningCalls {
  const calls = new Set<MeshCall>();
  /** How many run, of peers with any. */
  const ofPeer = new Map<SpiffeId, number>();

  /** INVARIANT: never throws: one call that cannot be ended cleanly must not keep the others from being ended. */
  function end(call: MeshCall, error: BehalfError): void {
    call.ending ??= error;
    try {
      call.end?.(error);
    } catch (thrown) {
      onFailure(thrown);
    }
  }

  function sweep(): void {
    const staleOwn = thrownBy(() => checkFresh(false));
    const staleDelegated = thrownBy(() => checkFresh(true));
    const over = isSnapshotOver() ? new BehalfError('snapshot_stale', { why: 'past its end' }) : null;
    const oldest = nowS() - maxAgeS();
    for (const call of calls) {
      const stale = over ?? (call.delegated ? staleDelegated : staleOwn);
      if (stale !== null) end(call, stale);
      else if (call.startedS < oldest) end(call, new BehalfError('stream_expired', { maxAgeS: maxAgeS() }));
    }
  }

  const sweeper = setInterval(sweep, SWEEP_MS);
  sweeper.unref();
  return {
    add(call) {
      calls.add(call);
      if (call.peer !== null) ofPeer.set(call.peer, (ofPeer.get(call.peer) ?? 0) + 1);
    },
    remove(call) {
      // One that was refused never stood here.
      if (!calls.delete(call) || call.peer === null) return;
      const left = (ofPeer.get(call.peer) ?? 0) - 1;
      if (left > 0) ofPeer.set(call.peer, left);
      else ofPeer.delete(call.peer);
    },
    checkRoom(peer) {
      if ((ofPeer.get(peer) ?? 0) >= maxPerPeer) throw new BehalfError('overloaded', { peer, calls: maxPerPeer });
    },
    revoke(revocation, source) {
      let ended = 0;
      for (const call of calls) {
        if (call.revocable === null || !revocationHits(revocation, source, call.revocable)) continue;
        end(call, new BehalfError(revocationCode(revocation), { kind: revocation.kind }));
        ended += 1;
      }
      return ended;
    },
    rejudge() {
      for (const call of calls) {
        const refusal = call.stillAllowed?.() ?? null;
        if (refusal !== null) end(call, refusal);
      }
    },
    size: () => calls.size,
    close: () => clearInterval(sweeper),
  };
}

/** WIRE section 4: kind `consent` is `consent_withdrawn`, all others `delegation_revoked`. */
export function revocationCode({ kind }: Revocation): ErrorCode {
  return kind === 'consent' ? 'consent_withdrawn' : 'delegation_revoked';
}

/** Facts of a delegation together with those of the connection that it travels on. */
export function withSigners(facts: RevocableFacts, signers: RevocableFacts['signers']): RevocableFacts {
  return { root: facts.root, signers: [...facts.signers, ...signers] };
}

function thrownBy(check: () => void): BehalfError | null {
  try {
    check();
    return null;
  } catch (thrown) {
    return thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown });
  }
}
