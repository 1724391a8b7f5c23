/**
 * How grpc-js connects to a part of the mesh: our TLS, our judgement of the server before the first byte is written, and the
 * SPIFFE ID that it has to have. Each connection takes the certificate that is current when it begins.
 */
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { BehalfError } from '../../errors/index.ts';
import type { MeshBundle } from '../bundle/index.ts';
import type { Clock } from '../clock.ts';
import type { OwnIdentity } from '../own/own-identity.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import { anonymousClientTlsOptions, meshClientTlsOptions } from './tls-options.ts';
import { verifyPeer } from './verify-peer.ts';

/** Who we are towards the server: a workload with an identity, or one that has a bundle to trust and nothing else yet. */
export type ClientTrust = { readonly identity: OwnIdentity } | { readonly bundle: MeshBundle };

type SecureConnector = ReturnType<grpc.ChannelCredentials['_createSecureConnector']>;

const CONNECT_TIMEOUT_MS = 10_000;

/** Channel credentials after the above. `expect` null takes any workload of the trust domain. */
export function meshChannelCredentials(
  trust: ClientTrust,
  expect: SpiffeId | null,
  clock: Clock,
): grpc.ChannelCredentials {
  return new MeshChannelCredentials(trust, expect, clock);
}

/** A class because grpc-js takes only subclasses of its own. */
class MeshChannelCredentials extends grpc.ChannelCredentials {
  readonly #trust: ClientTrust;
  readonly #expect: SpiffeId | null;
  readonly #clock: Clock;

  constructor(trust: ClientTrust, expect: SpiffeId | null, clock: Clock) {
    super();
    this.#trust = trust;
    this.#expect = expect;
    this.#clock = clock;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(): SecureConnector {
    return {
      connect: async (socket) => ({
        socket: await secure(socket, this.#trust, this.#expect, this.#clock),
        secure: true,
      }),
      waitForReady: async () => undefined,
      getCallCredentials: () => grpc.CallCredentials.createEmpty(),
      destroy: () => undefined,
    };
  }
}

function secure(socket: Socket, trust: ClientTrust, expect: SpiffeId | null, clock: Clock): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = 'identity' in trust ? meshClientTlsOptions(trust.identity) : anonymousClientTlsOptions();
    const tls = connect({ ...options, socket, ALPNProtocols: ['h2'] });
    const fail = (error: Error): void => {
      clearTimeout(timeout);
      tls.destroy();
      reject(error);
    };
    const timeout = setTimeout(
      () => fail(new BehalfError('upstream_timeout', { why: 'TLS handshake' })),
      CONNECT_TIMEOUT_MS,
    );
    tls.once('error', fail);
    tls.once('close', () => fail(new BehalfError('upstream_unavailable', { why: 'closed during the TLS handshake' })));
    tls.once('secureConnect', () => {
      try {
        checkServer(tls, trust, expect, clock());
      } catch (error) {
        fail(error as Error);
        return;
      }
      clearTimeout(timeout);
      tls.removeAllListeners('close');
      tls.removeListener('error', fail);
      resolve(tls);
    });
  });
}

function checkServer(tls: TLSSocket, trust: ClientTrust, expect: SpiffeId | null, nowS: number): void {
  const peerTrust = 'identity' in trust ? trust.identity : { bundle: () => trust.bundle };
  const svid = verifyPeer(tls, peerTrust, nowS, 'server');
  if (expect !== null && svid.spiffeId !== expect) {
    throw new BehalfError('peer_untrusted', { rule: 'spiffe_id', expected: expect, found: svid.spiffeId });
  }
}
