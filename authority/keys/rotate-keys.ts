/**
 * Rotation of root keys while we run: a step now and then, each of which is on disk before the next. A step that fails, as
 * where the CA cannot be reached, is done by a later one; until then the present key signs on.
 */
import type { Logger } from 'pino';
import { codeOf } from '../../errors/index.ts';
import { keyEvent, type RecordEvent } from '../events/events.ts';
import type { AuthorityKeys } from './keys.ts';

const STEP_INTERVAL_MS = 60_000;

export interface RotationDeps {
  readonly keys: AuthorityKeys;
  /** Publishes all of `rootJwks`, and says so to `keys`; gives up when the signal is aborted. */
  readonly publish: (signal: AbortSignal) => Promise<void>;
  readonly record: RecordEvent;
  readonly log: Logger;
}

/** Does what is due now. @throws what `publish` throws; a later step then publishes */
async function rotateOnce({ keys, publish, record, log }: RotationDeps, signal: AbortSignal): Promise<void> {
  for (const { kid, change } of keys.rotate()) {
    log.info({ kid, change }, 'root key rotated');
    // What was done is done, whether or not the log can be written; the CA records what it publishes too.
    await record(keyEvent('root', kid, change)).catch((error: unknown) =>
      log.error({ err: error, kid, change }, 'change of a key not on record'),
    );
  }
  if (keys.isUnpublished) await publish(signal);
}

/** Rotates from now on; gives its end, which waits for a step underway. */
export function startRotation(deps: RotationDeps): () => Promise<void> {
  const stop = new AbortController();
  let underway: Promise<void> | null = null;
  const step = (): void => {
    underway ??= rotateOnce(deps, stop.signal)
      .catch((error: unknown) => deps.log.error({ err: error, code: codeOf(error) }, 'rotation of root keys failed'))
      .finally(() => {
        underway = null;
      });
  };
  step();
  const timer = setInterval(step, STEP_INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    stop.abort();
    await underway;
  };
}
