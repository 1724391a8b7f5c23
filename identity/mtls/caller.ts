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
  /** Credentials of a Unix socket's other end. */
  readonly unix: UnixPeer | null;
}

const callers = new WeakMap<grpc.Metadata, Caller>();

/**
 * The caller's SPIFFE ID.
 * @throws {BehalfError} `peer_unauthenticated` if the connection proved none
 */
export function requireCaller(caller: Caller): SpiffeId {
  if (caller.id === null) throw new BehalfError('peer_unauthenticated', {});
  return caller.id;
}

/** Server credentials for one connection, whose calls all come from `caller`. TLS was already done. */
export function credentialsOf(caller: Caller): grpc.ServerCredentials {
  return grpc.experimental.createServerCredentialsWithInterceptors(grpc.ServerCredentials.createInsecure(), [
    (_method, call) =>
      new grpc.ServerInterceptingCall(call, {
        start: (next) => {
          next({
            onReceiveMetadata: (metadata, nextMetadata) => {
              callers.set(metadata, caller);
              nextMetadata(metadata);
            },
          });
        },
      }),
  ]);
}

/** The caller of a call whose handler was given this metadata. */
export function callerOf(metadata: grpc.Metadata): Caller {
  const caller = callers.get(metadata);
  // INVARIANT: every connection comes through `credentialsOf`.
  if (caller === undefined) throw new BehalfError('internal', { why: 'a call has no connection facts' });
  return caller;
}
