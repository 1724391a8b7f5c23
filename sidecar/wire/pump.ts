/**
 * Moves a body from where it comes in to where it goes out, heeding both sides' backpressure. Until it is committed it
 * keeps what it has read, up to a limit, so that a request can be sent again on another connection, or an answer's first
 * bytes can wait for the record.
 */
import type { Readable, Writable } from 'node:stream';

/** Most bytes kept while not committed; beyond it a source without sink waits, one with a sink can no longer be replayed. */
const KEPT_BYTES = 65_536;

export interface Pump {
  /** Sends all that was kept to `sink`, then the rest as it comes. Replaces an earlier sink. */
  attach(sink: Writable): void;
  /** Takes the sink away: nothing is read beyond the limit until the next one. */
  detach(): void;
  /** Forgets what was kept: from here on there is no replay. */
  commit(): void;
  /** Whether another sink could still get the body from its first byte. */
  replayable(): boolean;
  /** Whether the source has ended well. */
  ended(): boolean;
  /** Whether the source broke off. */
  broken(): boolean;
  bytes(): number;
  /** The whole body where it has ended and was kept; it will not go to a sink then. */
  takeAll(): readonly Buffer[] | null;
  /** Stops for good. */
  stop(): void;
}

/** A body, and what is known of its end. */
export interface PumpSource {
  readonly body: Readable;
  bodyIsWhole(): boolean;
}

/**
 * Starts to read. `onDone` is called once a sink, when the source has ended or broken off and all of it is written; a
 * source that closes without its end has broken off. `onWrite` sees each chunk before a sink gets it.
 */
export function createPump(
  from: PumpSource,
  onDone: (whole: boolean) => void,
  onWrite: ((chunk: Buffer) => void) | null = null,
): Pump {
  const source = from.body;
  let sink: Writable | null = null;
  let kept: Buffer[] | null = [];
  let keptBytes = 0;
  let bytes = 0;
  let committed = false;
  let state: 'open' | 'ended' | 'broken' | 'stopped' = 'open';

  function onData(chunk: Buffer): void {
    bytes += chunk.length;
    if (kept !== null && (!committed || sink === null)) {
      kept.push(chunk);
      keptBytes += chunk.length;
      if (keptBytes > KEPT_BYTES) {
        if (sink === null) source.pause();
        else kept = null;
      }
    }
    if (sink !== null && !write(sink, chunk)) source.pause();
  }
  function write(to: Writable, chunk: Buffer): boolean {
    onWrite?.(chunk);
    return to.write(chunk);
  }
  function onDrain(): void {
    if (state === 'open') source.resume();
  }
  function onEnd(): void {
    if (state === 'open') settle(from.bodyIsWhole() ? 'ended' : 'broken');
  }
  function onBroken(): void {
    if (state === 'open') settle('broken');
  }
  function settle(to: 'ended' | 'broken'): void {
    state = to;
    if (sink !== null) onDone(to === 'ended');
  }
  function detach(): void {
    if (sink === null) return;
    sink.off('drain', onDrain);
    sink = null;
    if (state === 'open') source.pause();
  }

  source.on('data', onData);
  source.on('end', onEnd);
  source.on('error', onBroken);
  source.on('aborted', onBroken);
  source.on('close', onBroken);

  return {
    attach(next) {
      detach();
      sink = next;
      sink.on('drain', onDrain);
      let room = true;
      if (kept !== null) for (const chunk of kept) room = write(next, chunk);
      if (committed) kept = [];
      if (state === 'ended' || state === 'broken') onDone(state === 'ended');
      else if (state === 'open' && room) source.resume();
    },
    detach,
    commit() {
      committed = true;
      if (sink !== null) kept = [];
    },
    replayable: () => kept !== null && !committed,
    ended: () => state === 'ended',
    broken: () => state === 'broken',
    bytes: () => bytes,
    takeAll: () => (state === 'ended' && sink === null ? kept : null),
    stop() {
      if (state === 'open') state = 'stopped';
      detach();
      source.off('data', onData);
      kept = [];
    },
  };
}
