/**
 * TLS between the mesh's own processes: 1.3 only, both sides with certificates, no resumption. Node's own verification is
 * off, since it can judge neither SPIFFE IDs nor name the rule that a certificate breaks; `verifyPeer` judges instead and
 * MUST be called on every connection that these options make.
 */
import { constants } from 'node:crypto';
import type { ConnectionOptions, Server, TlsOptions } from 'node:tls';
import type { IssuedIdentity, OwnIdentity } from '../own/own-identity.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Options for `tls.createServer`. `followIdentity` keeps the server's certificate current afterwards. Set `ALPNProtocols`
 * as the port needs it.
 */
export function meshServerTlsOptions(identity: OwnIdentity): TlsOptions {
  return {
    ...keyAndCertificate(identity.current()),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    requestCert: true,
    // INVARIANT: `verifyPeer` runs before the first byte is read.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    // With no stateless tickets and no session store nothing can be resumed (DESIGN section 4).
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Options for `tls.connect` with the certificate that is current now; call it anew for each connection. */
export function meshClientTlsOptions(identity: OwnIdentity): ConnectionOptions {
  return { ...keyAndCertificate(identity.current()), ...anonymousClientTlsOptions() };
}

/** The same for one who has no certificate yet. */
export function anonymousClientTlsOptions(): ConnectionOptions {
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // INVARIANT: `verifyPeer` runs before the first byte is written.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    // Peers are known by SPIFFE ID, so that a name in the clear would only tell others whom we call.
    servername: '',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * Gives the server each new certificate for connections that begin afterwards; those that stand stay as they are.
 * Returns its own undoing.
 */
export function followIdentity(server: Server, identity: OwnIdentity): () => void {
  return identity.onChange((what) => {
    // Node builds the new context from these options alone, so that versions and ticket rule are given again.
    if (what === 'identity') server.setSecureContext(meshServerTlsOptions(identity));
  });
}

function keyAndCertificate(current: IssuedIdentity): { key: string; cert: string } {
  return { key: current.privateKeyPem, cert: current.certificateChainPem };
}
