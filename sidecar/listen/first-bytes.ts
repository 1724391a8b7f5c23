/** Tells HTTP/2 with prior knowledge from HTTP/1.1 by the client's first bytes (RFC 9113 section 3.4), and puts them back. */
import type { Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** A client that connects and says nothing is closed after this. */
const FIRST_BYTES_WITHIN_MS = 60_000;

/** Calls `next` once it is known what the client speaks; never if it leaves or stays silent. */
export function afterFirstBytes(socket: Socket, next: (protocol: 'http/1.1' | 'h2') => void): void {
  let seen: Buffer = Buffer.alloc(0);
  function onReadable(): void {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const same = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (same && seen.length < PREFACE.length) return;
    settle();
    socket.unshift(seen);
    next(same ? 'h2' : 'http/1.1');
  }
  function onEnd(): void {
    settle();
    socket.destroy();
  }
  function settle(): void {
    clearTimeout(late);
    socket.off('readable', onReadable);
    socket.off('end', onEnd);
    socket.off('close', onEnd);
  }
  const late = setTimeout(onEnd, FIRST_BYTES_WITHIN_MS);
  late.unref();
  socket.on('readable', onReadable);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
}
