/**
 * How many connections and lasting streams one peer may have at once, so that none takes the room of all others: a workload by
 * its certificate, a local process by its uid, and all who have neither together.
 */
import { BehalfError } from '../../errors/index.ts';
import type { Caller } from './caller.ts';

/** Connections at once. Replicas share a SPIFFE ID, but no certificate. A client has one, and a second while it renews. */
export const CONNECTION_LIMITS = { certificate: 64, uid: 256, anonymous: 1_024 } as const;

/** Lasting streams of one kind at once: a client has one, and a second while it renews; all without certificate share theirs. */
export const STREAM_LIMITS = { certificate: 64, uid: 64, anonymous: 64 } as const;

type Limits = { readonly [K in 'certificate' | 'uid' | 'anonymous']: number };

export interface Crowd {
  /**
   * Counts one more of that peer; gives the way to count it no more, which may be called twice.
   * @throws {BehalfError} `overloaded` at the peer's limit
   */
  enter(caller: Caller): () => void;
}

export function createCrowd(limits: Limits): Crowd {
  const present = new Map<string, number>();
  return {
    enter(caller) {
      const { who, limit } = placeOf(caller, limits);
      const count = present.get(who) ?? 0;
      if (count >= limit) throw new BehalfError('overloaded', { why: 'too many at once of one peer', limit });
      present.set(who, count + 1);
      let isHere = true;
      return () => {
        if (!isHere) return;
        isHere = false;
        const left = (present.get(who) ?? 1) - 1;
        if (left === 0) present.delete(who);
        else present.set(who, left);
      };
    },
  };
}

function placeOf({ certificateS256, unix }: Caller, limits: Limits): { who: string; limit: number } {
  if (certificateS256 !== null) return { who: certificateS256, limit: limits.certificate };
  if (unix !== null) return { who: `uid ${unix.uid}`, limit: limits.uid };
  return { who: 'anonymous', limit: limits.anonymous };
}
