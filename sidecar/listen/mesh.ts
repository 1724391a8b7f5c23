/**
 * The mTLS port: other sidecars over `behalf-h2/1`, and any authenticated peer over `h2` or `http/1.1`. Each peer is judged
 * by its certificate before the first byte is read (DESIGN section 4); who is refused is answered with its code where HTTP
 * is possible, and stands on record.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { createServer, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import { CERTIFICATE_BACKDATE_S } from '../../identity/clock.ts';
import type { SpiffeId } from '../../identity/index.ts';
import { followIdentity, meshServerTlsOptions, verifyPeer } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { ConnectionRefusal, PeerFacts } from '../call/seam.ts';
import { signerOf } from '../call/standing.ts';
import { listenAt } from '../wire/address.ts';
import { SIDECAR_ALPN } from '../wire/alpn.ts';
import type { Asker } from '../wire/exchange.ts';
import { MAX_MESH_HEAD_BYTES } from '../wire/fields.ts';
import { createHttp1Server } from '../wire/http1/server.ts';
import { type Http2Connection, takeHttp2 } from '../wire/http2/server.ts';
import { newPeerClock } from '../wire/peer-clock.ts';
import { refusalAnswer } from '../wire/refusal.ts';
import { createReceivedSlots } from '../wire/slots.ts';
import type { Listener } from './plain.ts';
import { REVOKED_CONNECTION_ENDS_MS, type RevokedPeers } from './revoked-peers.ts';

const ALPN = [SIDECAR_ALPN, 'h2', 'http/1.1'];
const MAX_CONNECTIONS = 4_096;
/** A peer that vanished without a word is noticed by probes after this long. */
const KEEP_ALIVE_MS = 30_000;
/** A refused peer gets one answer; its connection ends after this at the latest. */
const REFUSED_FOR_MS = 5_000;

export interface MeshListenerOptions {
  readonly listen: string;
  /** Connections that one workload may hold at once. */
  readonly maxPerPeer: number;
  readonly identity: OwnIdentity;
  readonly nowS: () => number;
  readonly revoked: RevokedPeers;
  onRequest(asker: Asker, peer: PeerFacts): void;
  onRefused(refused: ConnectionRefusal): Promise<void>;
  readonly log: Logger;
}

/** What was found out about the other end of a connection. */
type Standing =
  | { readonly kind: 'peer'; readonly facts: PeerFacts }
  /** `facts` where it has proved who it is. */
  | { readonly kind: 'refused'; readonly error: BehalfError; readonly facts: PeerFacts | null };

export async function listenMesh(options: MeshListenerOptions): Promise<Listener> {
  const { identity, nowS, revoked, maxPerPeer, log } = options;
  const sockets = new Set<TLSSocket>();
  /** How many connections stand, of peers with any. */
  const ofPeer = new Map<SpiffeId, number>();
  const sessions = new Map<TLSSocket, Http2Connection>();
  const standings = new WeakMap<object, Standing>();
  /** Connections of peers that were revoked while they stood. */
  const ending = new WeakSet<TLSSocket>();

  const http1 = createHttp1Server({
    maxHeadBytes: MAX_MESH_HEAD_BYTES,
    onRequest: (asker, socket) => onRequest(asker, socket as TLSSocket),
    onMalformed(error, socket, answer) {
      report(error, socket as TLSSocket, () => {
        const { head, body } = refusalAnswer(error, { audience: 'mesh', protocol: 'http/1.1', hop: null, fields: [] });
        answer(head, body);
      });
    },
  });

  function onRequest(asker: Asker, socket: TLSSocket): void {
    const standing = standings.get(socket);
    if (standing?.kind === 'peer') {
      options.onRequest(asker, standing.facts);
      return;
    }
    refuseOn(asker, standing?.error ?? new BehalfError('internal'));
    setTimeout(() => socket.destroySoon(), 50);
  }

  function onConnection(socket: TLSSocket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', ignore); // 'close' follows
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const standing = judge(socket);
    standings.set(socket, standing);
    if (standing.kind === 'peer') {
      count(standing.facts.spiffeId, socket);
      speak(socket);
      return;
    }
    setTimeout(() => socket.destroy(), REFUSED_FOR_MS).unref();
    report(standing.error, socket, () => speak(socket));
  }

  function count(peer: SpiffeId, socket: TLSSocket): void {
    ofPeer.set(peer, (ofPeer.get(peer) ?? 0) + 1);
    socket.once('close', () => {
      const left = (ofPeer.get(peer) ?? 0) - 1;
      if (left > 0) ofPeer.set(peer, left);
      else ofPeer.delete(peer);
    });
  }

  function judge(socket: TLSSocket): Standing {
    try {
      const svid = verifyPeer(socket, identity, nowS(), 'client');
      const facts: PeerFacts = {
        spiffeId: svid.spiffeId,
        serialHex: svid.serialHex,
        certificateS256: svid.certificateS256,
        issuedS: svid.notBeforeS + CERTIFICATE_BACKDATE_S,
        notAfterS: svid.notAfterS,
        address: socket.remoteAddress ?? '',
        ...ownCertificate(socket),
        slots: socket.alpnProtocol === SIDECAR_ALPN ? createReceivedSlots(nowS) : null,
        clock: newPeerClock(),
      };
      if (revoked.isRevoked(signerOf(facts))) return { kind: 'refused', error: revokedError(facts), facts };
      if ((ofPeer.get(facts.spiffeId) ?? 0) >= maxPerPeer)
        return {
          kind: 'refused',
          error: new BehalfError('overloaded', { connections: maxPerPeer }),
          facts,
        };
      return { kind: 'peer', facts };
    } catch (thrown) {
      return {
        kind: 'refused',
        error: thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown }),
        facts: null,
      };
    }
  }

  function speak(socket: TLSSocket): void {
    if (socket.destroyed) return;
    if (socket.alpnProtocol !== SIDECAR_ALPN && socket.alpnProtocol !== 'h2') {
      http1.take(socket);
      return;
    }
    const standing = standings.get(socket);
    const session = takeHttp2(socket, {
      maxHeadBytes: MAX_MESH_HEAD_BYTES,
      clock: standing?.kind === 'peer' && socket.alpnProtocol === SIDECAR_ALPN ? standing.facts.clock : null,
      onRequest: (asker) => onRequest(asker, socket),
      onMalformed: (error, asker) => report(error, socket, () => refuseOn(asker, error)),
      onClose: () => void sessions.delete(socket),
    });
    sessions.set(socket, session);
  }

  /** Calls of a revoked peer have ended with their code; until its connection is gone, new ones are judged and refused. */
  function endRevoked(): void {
    for (const socket of sockets) {
      const standing = standings.get(socket);
      if (standing?.kind !== 'peer' || ending.has(socket) || !revoked.isRevoked(signerOf(standing.facts))) continue;
      ending.add(socket);
      sessions.get(socket)?.drain();
      report(revokedError(standing.facts), socket, ignore);
      const timer = setTimeout(() => socket.destroy(), REVOKED_CONNECTION_ENDS_MS);
      socket.once('close', () => clearTimeout(timer));
    }
  }

  function report(error: BehalfError, socket: TLSSocket, answer: () => void): void {
    const standing = standings.get(socket);
    const facts = standing?.facts ?? null;
    const serial = error.detail['serial'];
    options
      .onRefused({
        listener: 'mesh',
        error,
        address: socket.remoteAddress ?? '',
        peer: facts?.spiffeId ?? '',
        peerSerialHex: facts?.serialHex ?? (typeof serial === 'string' ? serial : ''),
      })
      .then(answer)
      .catch((thrown) => {
        log.warn({ err: thrown }, 'refused connection could not be put on record');
        socket.destroy();
      });
  }

  const server = createServer({ ...meshServerTlsOptions(identity), ALPNProtocols: ALPN, noDelay: true }, onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  server.on('tlsClientError', (error, socket) => {
    // UNTRUSTED: anyone can fail a handshake; a port scan must not fill the record, so this is a log line only.
    log.debug({ err: error, address: socket.remoteAddress ?? '' }, 'tls handshake failed');
    socket.destroy();
  });
  const unfollow = followIdentity(server, identity);
  const stopRevoking = revoked.onRevocation(endRevoked);
  const address = await listenAt(server, options.listen);
  return {
    address,
    drain() {
      unfollow();
      server.close();
      http1.close();
      for (const session of sessions.values()) session.drain();
    },
    destroy() {
      unfollow();
      stopRevoking();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function revokedError({ serialHex: serial }: PeerFacts): BehalfError {
  return new BehalfError('peer_revoked', { serial });
}

/** The certificate that we showed on this connection: renewal may have brought a newer one since. */
function ownCertificate(socket: TLSSocket): { ownSerialHex: string; ownCertificateS256: string } {
  const shown = socket.getX509Certificate();
  if (shown === undefined) return { ownSerialHex: '', ownCertificateS256: '' };
  return serialAndHash(shown);
}

function serialAndHash(certificate: X509Certificate): { ownSerialHex: string; ownCertificateS256: string } {
  return {
    ownSerialHex: certificate.serialNumber.toLowerCase(),
    ownCertificateS256: createHash('sha256').update(certificate.raw).digest('base64url'),
  };
}

function refuseOn(asker: Asker, error: BehalfError): void {
  const { head, body } = refusalAnswer(error, {
    audience: 'mesh',
    protocol: asker.head.protocol,
    hop: null,
    fields: [],
  });
  asker.sendWhole(head, body);
}

function ignore(): void {}
