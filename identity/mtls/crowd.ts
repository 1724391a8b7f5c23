/**
 * How many connections one peer may have at once, so that none takes the room of all others: a workload by its certificate, a
 * local process by its uid, and all who have neither together.
 */
import type { Socket } from 'node:net';
import { BehalfError } from '../../errors/index.ts';
import type { Caller } from './caller.ts';

/** Connections at once. Replicas share a SPIFFE ID, but no certificate. A client has one, and a second while it renews. */
export const CONNECTION_LIMITS = { certificate: 64, uid: 256, anonymous: 1_024 } as const;

export interface Crowd {
  /**
   * Counts a connection until it closes.
   * @throws {BehalfError} `overloaded` at the peer's limit
   */
  enter(socket: Socket, caller: Caller): void;
}

export function createCrowd(): Crowd {
  const present = new Map<string, number>();
  return {
    enter(socket, caller) {
      const { who, limit } = placeOf(caller);
      const count = present.get(who) ?? 0;
      if (count >= limit) throw new BehalfError('overloaded', { why: 'too many connections of one peer', limit });
      present.set(who, count + 1);
      socket.once('close', () => {
        const left = (present.get(who) ?? 1) - 1;
        if (left === 0) present.delete(who);
        else present.set(who, left);
      });
    },
  };
}

function placeOf({ certificateS256, unix }: Caller): { who: string; limit: number } {
  if (certificateS256 !== null) return { who: certificateS256, limit: CONNECTION_LIMITS.certificate };
  if (unix !== null) return { who: `uid ${unix.uid}`, limit: CONNECTION_LIMITS.uid };
  return { who: 'anonymous', limit: CONNECTION_LIMITS.anonymous };
}
