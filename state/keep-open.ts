/** A gRPC stream that is opened again, for ever, whenever it ends. */
import type { Logger } from 'pino';
import { errorOfCall } from '../identity/mtls/index.ts';
import { createRetryDelay } from './retry-delay.ts';

/** What it needs of a stream. */
export interface OpenStream {
  cancel(): void;
  on(event: 'error' | 'end', listener: (error?: unknown) => void): unknown;
}

/** A stream that stood for so long was a good one: the next failure begins with the shortest wait. */
const GOOD_STREAM_MS = 5_000;

/**
 * Opens a stream now and after each end. `open` gets the way to give the stream up and have another one after a growing wait.
 */
export function keepOpen<S extends OpenStream>(
  name: string,
  log: Logger,
  open: (giveUp: (stream: S) => void) => S,
): { close(): void } {
  const delay = createRetryDelay();
  let current: S | null = null;
  let openedAtMs = 0;
  let isClosed = false;
  let retry: NodeJS.Timeout | undefined;

  const again = (stream: S, error: unknown): void => {
    if (stream !== current) return;
    current = null;
    stream.cancel();
    if (isClosed) return;
    if (performance.now() - openedAtMs > GOOD_STREAM_MS) delay.reset();
    log.warn({ stream: name, code: error === null ? null : errorOfCall(error).code }, 'stream ended');
    retry = setTimeout(next, delay.next());
  };
  const next = (): void => {
    openedAtMs = performance.now();
    const stream = open((given) => again(given, null));
    current = stream;
    stream.on('error', (error) => again(stream, error));
    stream.on('end', () => again(stream, null));
  };
  next();
  return {
    close() {
      isClosed = true;
      clearTimeout(retry);
      const stream = current;
      current = null;
      stream?.cancel();
    },
  };
}
