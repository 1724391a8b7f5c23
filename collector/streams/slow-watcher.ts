/**
 * Writing to a watcher at its own pace. Nothing is queued for one that does not keep up beyond what its stream already
 * holds: the relay keeps a position a watcher and goes on from there when the stream takes more; one that takes nothing for
 * too long is cut off, and begins anew from what it knows.
 */
import type { Writable } from 'node:stream';

/** How long a watcher may take nothing, in milliseconds. */
const SLOW_WATCHER_MS = 10_000;

export interface PacedWriter<T> {
  /** Whether a write may follow now. */
  isOpen(): boolean;
  write(message: T): void;
  close(): void;
}

/** `onRoom` is called when a full stream takes more, `onSlow` once when it took nothing for `SLOW_WATCHER_MS`. */
export function createPacedWriter<T>(
  stream: Writable,
  { onRoom, onSlow, slowMs = SLOW_WATCHER_MS }: { onRoom: () => void; onSlow: () => void; slowMs?: number },
): PacedWriter<T> {
  let isBlocked = false;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  stream.on('drain', () => {
    clearTimeout(timer);
    isBlocked = false;
    if (!isClosed) onRoom();
  });
  return {
    isOpen: () => !isBlocked && !isClosed,
    write(message) {
      if (stream.write(message)) return;
      isBlocked = true;
      timer = setTimeout(onSlow, slowMs).unref();
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
