/** One message of a source: checked as far as a relay can, then handed to the relay. */
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import type { SignedStatement } from '../../identity/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { PublishLiveStateRequest } from '../../proto/behalf/state/v1/state.ts';
import {
  type LiveStateEntry,
  type LiveStateSource,
  parseEntry,
  parseHeartbeat,
  verifyEntry,
  verifyHeartbeat,
} from '../../state/index.ts';
import type { LiveRelay } from './live-relay.ts';

export interface ReceiverDeps {
  readonly live: LiveRelay;
  readonly identity: OwnIdentity;
  readonly log: Logger;
  /** Called with each new entry, once it is stored and written to all who watch. */
  readonly onEntry: (entry: LiveStateEntry) => void;
}

/**
 * Takes an entry or a heartbeat; true where the source is to be told what is stored now. The connection proved the source;
 * a signature is checked too where the bundle has its key, so that a fault shows at its place. A key that we do not know
 * yet stops nothing: receivers judge.
 * @throws {BehalfError} `statement_untrusted`, `overloaded`
 */
export function receiveLiveState(
  { item, entry, heartbeat }: PublishLiveStateRequest,
  source: LiveStateSource,
  { live, identity, log, onEntry }: ReceiverDeps,
): boolean {
  const bundle = identity.bundle();
  const isKnown = ({ kid }: SignedStatement): boolean => bundle.liveStateKeys[source].some((key) => key.kid === kid);
  if (item === 'entry' && entry) {
    const read = isKnown(entry) ? verifyEntry(entry, source, bundle) : parseEntry(entry.payload, source);
    const { number } = read;
    if (live.publishEntry(source, number, entry)) {
      log.info({ source, number }, 'live state entry relayed');
      onEntry(read);
    }
    return true;
  }
  if (item === 'heartbeat' && heartbeat) {
    const keptFrom = isKnown(heartbeat) ? verifyHeartbeat(heartbeat, source, bundle).kept_from : null;
    if (keptFrom === null) parseHeartbeat(heartbeat.payload, source);
    live.publishHeartbeat(source, heartbeat, keptFrom);
    return false;
  }
  throw new BehalfError('statement_untrusted', { source, why: 'neither entry nor heartbeat' });
}
