/**
 * Who calls a gRPC method: what the connection proved, never what the call's metadata says.
 *
 * Each connection has an interceptor of its own. It ties the connection's facts to the `Metadata` object that grpc-js hands
 * to the handler, by the object's identity; a client chooses what is in that object, but not which object it is.
 */
import * as grpc from '@grpc/grpc-js';
import { BehalfError } from '../../errors/index.ts';
import type { UnixPeer } from '../socket-facts.ts';
import type { SpiffeId } from '../spiffe-id.ts';

/** What is known of the caller. All null: someone on TLS without a certificate. */
export interface Caller {
  /** From the SVID of the connection, judged when the connection began. */
  readonly id: SpiffeId | null;
  /** Serial of that SVID, lower-case hexadecimal. */
  readonly serialHex: string | null;
  /** base64url SHA-256 of that SVID. */
  readonly certificateS256: string | null;
  /** True time of its issue in seconds, as revocations count it. */
  readonly issuedS: number | null;
  /** Credentials of a Unix socket's other end. */
  readonly unix: UnixPeer | null;
}

/** Why calls of a connection are refused, asked anew at each; null while they are not. */
export type Refusal = () => BehalfError | null;

interface Proven {
  readonly caller: Caller;
  readonly refusal: Refusal;
}

const callers = new WeakMap<grpc.Metadata, Proven>();

/**
 * The caller's SPIFFE ID.
 * @throws {BehalfError} `peer_unauthenticated` if the connection proved none
 */
export function requireCaller(caller: Caller): SpiffeId {
  if (caller.id === null) throw new BehalfError('peer_unauthenticated', {});
  return caller.id;
}

/** Server credentials for one connection, whose calls all come from `caller`. TLS was already done. */
export function credentialsOf(caller: Caller, refusal: Refusal): grpc.ServerCredentials {
  const proven = { caller, refusal };
  return grpc.experimental.createServerCredentialsWithInterceptors(grpc.ServerCredentials.createInsecure(), [
    (_method, call) =>
      new grpc.ServerInterceptingCall(call, {
        start: (next) => {
          next({
            onReceiveMetadata: (metadata, nextMetadata) => {
              callers.set(metadata, proven);
              nextMetadata(metadata);
            },
          });
        },
      }),
  ]);
}

/**
 * The caller of a call whose handler was given this metadata.
 * @throws {BehalfError} `peer_revoked` where the connection's peer was revoked
 */
export function callerOf(metadata: grpc.Metadata): Caller {
  const proven = callers.get(metadata);
  // INVARIANT: every connection comes through `credentialsOf`.
  if (proven === undefined) throw new BehalfError('internal', { why: 'a call has no connection facts' });
  const refused = proven.refusal();
  if (refused !== null) throw refused;
  return proven.caller;
}
