/**
 * Writes the newest of something to a stream, again whenever it is told to. A reader that is slow gets the newest once it
 * reads again and never a queue of old ones, so that at most two answers a stream are held.
 */

/** What of a gRPC server stream is used. */
export interface NewestSink<T> {
  write(message: T): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

/** Gives the function that says "there is news". `make` is called only when the stream can take it. */
export function newestWriter<T>(stream: NewestSink<T>, make: () => T): () => void {
  let isFull = false;
  let isStale = false;
  function write(): void {
    if (isFull) {
      isStale = true;
      return;
    }
    isStale = false;
    isFull = !stream.write(make());
    if (isFull) stream.once('drain', onDrain);
  }
  function onDrain(): void {
    isFull = false;
    if (isStale) write();
  }
  return write;
}
