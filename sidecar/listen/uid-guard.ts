/**
 * Who may use a local port (DESIGN section 2): only processes of the app's own uid, told by the owner of the client's
 * socket. Judged once a connection. Where the owner cannot be known, the connection is refused.
 */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { ownerOfTcpPeer, peerOfUnixSocket } from '../../identity/socket-facts.ts';

export interface UidGuard {
  /** Whether any check is made. */
  readonly active: boolean;
  admit(socket: Socket): boolean;
}

/** `allowedUid` null lets any local process in, and says so. */
export function createUidGuard({ allowedUid, log }: { allowedUid: number | null; log: Logger }): UidGuard {
  if (allowedUid === null) {
    log.warn({}, 'uid guard is off: any process on this machine may use the local ports');
    return { active: false, admit: () => true };
  }
  return {
    active: true,
    admit: (socket) => ownerOf(socket) === allowedUid,
  };
}

function ownerOf(socket: Socket): number | null {
  return socket.remoteAddress === undefined ? (peerOfUnixSocket(socket)?.uid ?? null) : ownerOfTcpPeer(socket);
}
