/** The end of a socket that carries a WebSocket which the mesh ends: the Close must still be read, but nobody is waited for long. */
import type { Socket } from 'node:net';

/** A Close that cannot be written and answered in this time is not waited for. */
export const LAST_WORDS_WITHIN_MS = 1_000;

/** Writes the last bytes, ends, reads on without looking (unread bytes would make the kernel reset the connection), and is gone soon. */
export function endSocketWith(socket: Socket, last: Buffer): void {
  if (socket.destroyed) return;
  socket.end(last);
  socket.resume();
  const late = setTimeout(() => socket.destroy(), LAST_WORDS_WITHIN_MS);
  socket.once('end', () => socket.destroySoon());
  socket.once('close', () => clearTimeout(late));
}
