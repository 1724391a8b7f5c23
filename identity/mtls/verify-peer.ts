/**
 * Who the other side of a TLS connection is. TLS itself has proved that the peer holds the certificate's key; that the
 * certificate is good is judged here, by our own path validation, before the first byte is read (DESIGN section 10).
 */
import type { TLSSocket } from 'node:tls';
import { BehalfError } from '../../errors/index.ts';
import type { MeshBundle } from '../bundle/index.ts';
import { MAX_PATH_CERTIFICATES, type Purpose, type VerifiedSvid, validatePath } from '../path-validation/index.ts';

/** The trust to judge peers by; an `OwnIdentity` is one. */
export interface PeerTrust {
  bundle(): MeshBundle;
}

/**
 * Judges the peer's certificate against the current bundle. Call it in the handler of `secureConnection` (server) or
 * `secureConnect` (client), before anything is read or written.
 * @throws {BehalfError} `peer_unauthenticated` without a certificate; `peer_untrusted` with the rule that is broken, the
 *   serial and the address
 */
export function verifyPeer(socket: TLSSocket, trust: PeerTrust, nowS: number, purpose: Purpose): VerifiedSvid {
  const chain = peerChain(socket);
  const address = socket.remoteAddress ?? null;
  if (chain.length === 0) throw new BehalfError('peer_unauthenticated', { address });
  try {
    return validatePath(chain, trust.bundle(), nowS, purpose);
  } catch (cause) {
    if (!(cause instanceof BehalfError)) throw cause;
    const serial = socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? null;
    throw new BehalfError('peer_untrusted', { ...cause.detail, serial, address }, { cause });
  }
}

/** UNTRUSTED: what the peer sent, leaf first. */
function peerChain(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = [];
  let certificate = socket.getPeerX509Certificate();
  // One more than a path may have, so that a longer one is refused and not cut to fit.
  while (certificate !== undefined && chain.length <= MAX_PATH_CERTIFICATES) {
    chain.push(certificate.raw);
    const issuer = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}
