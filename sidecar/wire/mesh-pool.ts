/**
 * Connections to peers: few, long-lived, HTTP/2 over mTLS, each made with one certificate of ours and judged by the peer's
 * SPIFFE ID before anything is sent. A new certificate means new connections; the old ones take no new calls once the new
 * ones stand, and close when their calls have ended. A connection is replaced before either end's certificate ends.
 */
import { connect, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import { CERTIFICATE_BACKDATE_S } from '../../identity/clock.ts';
import { meshClientTlsOptions, verifyPeer } from '../../identity/mtls/index.ts';
import type { IssuedIdentity, OwnIdentity } from '../../identity/own/own-identity.ts';
import type { Peer, SendFacts } from '../call/seam.ts';
import { ownSigner } from '../call/standing.ts';
import { REVOKED_CONNECTION_ENDS_MS, type RevokedPeers } from '../listen/revoked-peers.ts';
import { chooseLeastLoaded } from '../traffic/choose.ts';
import { parseAddress } from './address.ts';
import { SIDECAR_ALPN } from './alpn.ts';
import type { PeerLine } from './asking.ts';
import { type Http2Line, openHttp2Line } from './http2/client.ts';
import { newPeerClock } from './peer-clock.ts';
import { createSentSlots } from './slots.ts';

/** Requests at once on one connection before another is opened, and connections at most, a peer's endpoint. */
const STREAMS_PER_CONNECTION = 800;
const MAX_CONNECTIONS = 4;
/** Calls that may wait for a connection, an endpoint; the answer beyond it is `overloaded`. */
const MAX_WAITING = 4_096;
/** An endpoint that could not be reached is passed over for this long while there are others. */
const SHUNNED_FOR_MS = 1_000;
/** Endpoints that one call may find unreachable before it fails. */
const MAX_ENDPOINTS_TRIED = 3;
/** A connection is replaced when a fifth of the certificate's life is left, 2 s at least, 5 min at most. */
const REPLACE_AT_LIFE_LEFT = 0.2;
const MIN_MARGIN_S = 2;
const MAX_MARGIN_S = 300;
const UPKEEP_MS = 500;
/** A peer that vanished without a word is noticed by probes after this long. */
const KEEP_ALIVE_MS = 30_000;

interface Connection extends PeerLine {
  readonly line: Http2Line;
  readonly replaceAtS: number;
}

interface Endpoint {
  readonly address: string;
  readonly peer: Peer;
  readonly connections: Connection[];
  opening: Promise<Connection> | null;
  waiting: number;
  failedMs: number;
}

export interface MeshPool {
  /** A connection to put one call on. @throws {BehalfError} `upstream_unavailable`, `peer_untrusted`, `overloaded` */
  line(peer: Peer): PeerLine | Promise<PeerLine>;
  connections(): number;
  close(): void;
}

export interface MeshPoolOptions {
  readonly identity: OwnIdentity;
  /** mTLS ports of a peer that has none configured. */
  endpointsOf(peer: Peer): readonly string[];
  readonly connectTimeoutMs: number;
  readonly nowS: () => number;
  readonly revoked: RevokedPeers;
  readonly log: Logger;
}

export function createMeshPool({
  identity,
  endpointsOf,
  connectTimeoutMs,
  nowS,
  revoked,
  log,
}: MeshPoolOptions): MeshPool {
  const endpoints = new Map<string, Endpoint>();
  let closed = false;

  function line(peer: Peer): PeerLine | Promise<PeerLine> {
    const endpoint = choose(peer);
    const ready = bestOf(endpoint);
    if (ready !== null && (ready.line.load() < STREAMS_PER_CONNECTION || !mayOpen(endpoint))) return ready;
    if (ready !== null) {
      open(endpoint).catch(ignore);
      return ready;
    }
    return waitFor(endpoint);
  }

  function choose(peer: Peer): Endpoint {
    const addresses = peer.endpoints ?? endpointsOf(peer);
    if (addresses.length === 0)
      throw new BehalfError('upstream_unavailable', { to: peer.name, why: 'no endpoint is known' });
    return chooseLeastLoaded(
      addresses.map((address) => endpointAt(peer, address)),
      (endpoint) => endpoint.waiting + endpoint.connections.reduce((sum, { line }) => sum + line.load(), 0),
      isShunned,
    );
  }

  function endpointAt(peer: Peer, address: string): Endpoint {
    const key = `${peer.id} ${address}`;
    let endpoint = endpoints.get(key);
    if (endpoint === undefined) {
      endpoint = { address, peer, connections: [], opening: null, waiting: 0, failedMs: Number.NEGATIVE_INFINITY };
      endpoints.set(key, endpoint);
    }
    return endpoint;
  }

  /** A connection that has yet to be made. Nothing was sent on one that cannot be made: the peer's next endpoint is tried. */
  async function waitFor(first: Endpoint): Promise<PeerLine> {
    let endpoint = first;
    for (let tries = 1; ; tries += 1) {
      try {
        return await opened(endpoint);
      } catch (thrown) {
        endpoint = choose(endpoint.peer);
        if (tries >= MAX_ENDPOINTS_TRIED || isShunned(endpoint)) throw thrown;
        const ready = bestOf(endpoint);
        if (ready !== null) return ready;
      }
    }
  }

  async function opened(endpoint: Endpoint): Promise<PeerLine> {
    if (endpoint.waiting >= MAX_WAITING) throw new BehalfError('overloaded', { to: endpoint.peer.name });
    endpoint.waiting += 1;
    try {
      return await open(endpoint);
    } finally {
      endpoint.waiting -= 1;
    }
  }

  /** Opens one connection; who asks meanwhile gets the same. */
  function open(endpoint: Endpoint): Promise<Connection> {
    endpoint.opening ??= connectTo(endpoint).then(
      (connection) => {
        endpoint.opening = null;
        endpoint.connections.push(connection);
        return connection;
      },
      (thrown) => {
        endpoint.opening = null;
        endpoint.failedMs = performance.now();
        throw thrown;
      },
    );
    return endpoint.opening;
  }

  function mayOpen(endpoint: Endpoint): boolean {
    return endpoint.opening === null && endpoint.connections.length < MAX_CONNECTIONS && !closed;
  }

  function connectTo(endpoint: Endpoint): Promise<Connection> {
    const { peer, address } = endpoint;
    const at = parseAddress(address);
    if (at.kind !== 'tcp' || closed)
      return Promise.reject(new BehalfError('upstream_unavailable', { to: peer.name, why: 'closed' }));
    // INVARIANT: this identity's certificate is the one shown, and its WIT the one that signs what is sent here.
    const mine = identity.current();
    return new Promise((resolve, reject) => {
      const socket = connect({
        ...meshClientTlsOptions(identity),
        host: at.host,
        port: at.port,
        ALPNProtocols: [SIDECAR_ALPN],
      });
      const late = setTimeout(
        () => fail(new BehalfError('upstream_unavailable', { to: peer.name, why: 'connecting took too long' })),
        connectTimeoutMs,
      );
      function fail(error: BehalfError): void {
        clearTimeout(late);
        socket.destroy();
        reject(error);
      }
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.on('error', (error: NodeJS.ErrnoException) => {
        fail(
          new BehalfError(
            'upstream_unavailable',
            { to: peer.name, why: error.code ?? error.message },
            { cause: error },
          ),
        );
      });
      socket.on('close', () =>
        fail(new BehalfError('upstream_unavailable', { to: peer.name, why: 'closed while connecting' })),
      );
      socket.once('secureConnect', () => {
        try {
          resolve(take(endpoint, socket, mine));
          clearTimeout(late);
        } catch (thrown) {
          fail(thrown instanceof BehalfError ? thrown : new BehalfError('internal', {}, { cause: thrown }));
        }
      });
    });
  }

  function take(endpoint: Endpoint, socket: TLSSocket, mine: IssuedIdentity): Connection {
    const { peer } = endpoint;
    const svid = verifyPeer(socket, identity, nowS(), 'server');
    if (svid.spiffeId !== peer.id) {
      throw new BehalfError('peer_untrusted', {
        rule: 'spiffe_id',
        expected: peer.id,
        found: svid.spiffeId,
        serial: svid.serialHex,
      });
    }
    if (socket.alpnProtocol !== SIDECAR_ALPN) {
      throw new BehalfError('peer_untrusted', { rule: 'alpn', found: String(socket.alpnProtocol) });
    }
    const peerIssuedS = svid.notBeforeS + CERTIFICATE_BACKDATE_S;
    const { certificateS256: certificate } = svid;
    if (revoked.isRevoked({ iat: peerIssuedS, workload: peer.id, certificate, jti: null, kid: null }))
      throw new BehalfError('peer_revoked', { to: peer.name, serial: svid.serialHex });
    const clock = newPeerClock();
    const line = openHttp2Line(socket, peer.name, { onUnusable: () => remove(endpoint, line), onClose: ignore }, clock);
    const facts: SendFacts = {
      peerSerialHex: svid.serialHex,
      peerCertificateS256: svid.certificateS256,
      peerIssuedS,
      identity: mine,
      slots: createSentSlots(),
      clock,
    };
    const replaceAtS = Math.min(replaceAt(mine), replaceAt(svid));
    return { facts, line, replaceAtS, ask: line.ask };
  }

  /** Ends connections to peers that were revoked, and our own that were made with a certificate that was. */
  function endRevoked(): void {
    for (const { peer, connections } of endpoints.values()) {
      for (const { facts, line } of [...connections]) {
        const { peerCertificateS256: certificate, peerIssuedS: iat, identity: mine } = facts;
        const theirs = { iat, workload: peer.id, certificate, jti: null, kid: null };
        if (!revoked.isRevoked(theirs) && !revoked.isRevoked(ownSigner(mine))) continue;
        line.drain();
        setTimeout(line.destroy, REVOKED_CONNECTION_ENDS_MS).unref();
      }
    }
  }

  function remove(endpoint: Endpoint, line: Http2Line): void {
    const at = endpoint.connections.findIndex((connection) => connection.line === line);
    if (at >= 0) endpoint.connections.splice(at, 1);
  }

  /** Makes a successor for each connection that is due, and retires it once the successor stands. */
  function upkeep(): void {
    const now = nowS();
    const { certificateS256 } = identity.current();
    for (const [key, endpoint] of endpoints) {
      for (const connection of endpoint.connections) {
        const outdated = connection.facts.identity.certificateS256 !== certificateS256;
        if (outdated || now >= connection.replaceAtS) succeed(endpoint, connection);
      }
      if (
        endpoint.connections.length === 0 &&
        endpoint.opening === null &&
        endpoint.waiting === 0 &&
        endpoint.peer.endpoints === null
      ) {
        endpoints.delete(key);
      }
    }
  }

  function succeed(endpoint: Endpoint, old: Connection): void {
    if (endpoint.opening !== null || closed) return;
    open(endpoint).then(
      () => old.line.drain(),
      (thrown) =>
        log.warn({ err: thrown, peer: endpoint.peer.id }, 'connection could not be renewed; the old one serves on'),
    );
  }

  const stopFollowing = identity.onChange((what) => {
    if (what === 'identity') upkeep();
  });
  const stopRevoking = revoked.onRevocation(endRevoked);
  const timer = setInterval(upkeep, UPKEEP_MS);
  timer.unref();

  return {
    line,
    connections: () => [...endpoints.values()].reduce((sum, { connections }) => sum + connections.length, 0),
    close() {
      closed = true;
      clearInterval(timer);
      stopFollowing();
      stopRevoking();
      for (const endpoint of endpoints.values()) for (const { line } of [...endpoint.connections]) line.drain();
      endpoints.clear();
    },
  };
}

function bestOf(endpoint: Endpoint): Connection | null {
  let best: Connection | null = null;
  // The newest wins a tie: it has the newest certificate.
  for (const connection of endpoint.connections) {
    if (connection.line.usable() && (best === null || connection.line.load() <= best.line.load())) best = connection;
  }
  return best;
}

function isShunned({ failedMs }: Endpoint): boolean {
  return performance.now() - failedMs < SHUNNED_FOR_MS;
}

function replaceAt({ notBeforeS, notAfterS }: { notBeforeS: number; notAfterS: number }): number {
  const margin = Math.min(MAX_MARGIN_S, Math.max(MIN_MARGIN_S, (notAfterS - notBeforeS) * REPLACE_AT_LIFE_LEFT));
  return notAfterS - margin;
}

function ignore(): void {}
