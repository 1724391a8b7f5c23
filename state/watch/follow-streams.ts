/** The two streams of a receiver: opened again when they end, what comes handed to those who judge it. */
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { SignedStatement } from '../../identity/index.ts';
import type { ServiceClient } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { type CompiledSnapshot, compileSnapshot, verifySnapshot } from '../../policy/index.ts';
import type {
  State,
  WatchLiveStateResponse,
  WatchSnapshotRequest,
  WatchSnapshotResponse,
} from '../../proto/behalf/state/v1/state.ts';
import type { Sent } from '../../proto/service.ts';
import { keepOpen } from '../keep-open.ts';
import type { LiveStateReceiver, StateDefect } from './live-state-receiver.ts';

export interface Follower {
  /** The bundle changed: what waited for an unknown key is tried again. */
  retryHeld(): void;
  close(): void;
}

/** Follows both sources' live state; `onHeartbeat` hears of each one, whatever came of it. */
export function followLiveState(
  client: ServiceClient<State>,
  receiver: LiveStateReceiver,
  log: Logger,
  onHeartbeat: () => void,
): Follower {
  let heldReceipt: () => void = () => undefined;
  const follower = keepOpen<ClientReadableStream<WatchLiveStateResponse>>('live state', log, (giveUp) => {
    const stream = client.watchLiveState({ knownThrough: receiver.resume() });
    let isStale = false;
    const heed = (receipt: 'taken' | 'reopen'): void => {
      if (receipt === 'taken' || isStale) return;
      isStale = true;
      giveUp(stream);
    };
    heldReceipt = () => heed(receiver.retryHeld());
    stream.on('data', ({ source, item, entry, heartbeat }: WatchLiveStateResponse) => {
      const statement = entry ?? heartbeat ?? null;
      if (isStale || item === undefined || statement === null) return;
      try {
        heed(receiver.receive(source, { kind: item, statement }));
      } catch (error) {
        // A fault of ours: what it was about does not count, so that it comes again, or the source goes stale.
        log.error({ err: error, source }, 'live state could not be taken');
        heed('reopen');
      }
      if (item === 'heartbeat') onHeartbeat();
    });
    return stream;
  });
  return { retryHeld: () => heldReceipt(), close: follower.close };
}

/** Where verified snapshots go. */
export interface SnapshotSink {
  serving(): number;
  /** The highest number that was ever in force, in earlier runs too. */
  floor(): number;
  take(snapshot: CompiledSnapshot): void;
  defect(defect: StateDefect): void;
}

type SnapshotStream = ClientDuplexStream<Sent<WatchSnapshotRequest>, WatchSnapshotResponse>;

/** Follows the policy snapshot and acknowledges each number that the sink serves. */
export function followSnapshot(
  client: ServiceClient<State>,
  identity: OwnIdentity,
  log: Logger,
  sink: SnapshotSink,
): Follower {
  let held: SignedStatement | null = null;
  let acknowledge: () => void = () => undefined;

  const consider = (statement: SignedStatement): void => {
    const { policyKeys } = identity.bundle();
    if (!policyKeys.some(({ kid }) => kid === statement.kid)) {
      // Perhaps a key that our bundle does not hold yet: the newest such statement waits for the bundle to change.
      if (held === null) sink.defect({ source: 'policy', kind: 'unknown_key', why: 'no policy key has that name' });
      held = statement;
      return;
    }
    held = null;
    try {
      const snapshot = verifySnapshot(statement, policyKeys);
      if (snapshot.trust_domain !== identity.trustDomain) throw foreignDomain(snapshot.trust_domain);
      if (snapshot.number === sink.serving()) return;
      if (snapshot.number < sink.floor()) {
        const why = `number ${snapshot.number} after ${sink.floor()}`;
        sink.defect({ source: 'policy', kind: 'went_back', why });
        return;
      }
      sink.take(compileSnapshot(snapshot));
      acknowledge();
    } catch (error) {
      // Whatever fails, the snapshot before stays in force: one that we cannot handle must not end every sidecar of the mesh.
      const kind = codeOf(error) === 'statement_untrusted' ? 'forged' : 'invalid';
      if (!(error instanceof BehalfError)) log.error({ err: error }, 'policy snapshot could not be taken');
      sink.defect({ source: 'policy', kind, why: error instanceof Error ? error.message : String(error) });
    }
  };

  const follower = keepOpen<SnapshotStream>('policy snapshot', log, () => {
    const stream = client.watchSnapshot();
    acknowledge = () => stream.write({ serving: sink.serving() });
    acknowledge();
    stream.on('data', ({ snapshot }: WatchSnapshotResponse) => {
      if (snapshot !== null) consider(snapshot);
    });
    return stream;
  });
  return {
    retryHeld: () => {
      if (held !== null) consider(held);
    },
    close: follower.close,
  };
}

function foreignDomain(trustDomain: string): BehalfError {
  return new BehalfError('snapshot_invalid', { why: 'is for another trust domain', trustDomain });
}
