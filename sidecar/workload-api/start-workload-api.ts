/**
 * The SPIFFE Workload API on a Unix socket (SPIFFE Workload API and SPIFFE Workload Endpoint standards), so that any SPIFFE
 * client in the app gets the identity that its sidecar already has. Serves X.509-SVIDs, X.509 bundles and JWT bundles;
 * the methods for JWT-SVIDs answer UNIMPLEMENTED, as the CA issues none.
 *
 * What is handed out includes a private key. So each call is held against the uid of the socket's other end, and where that
 * cannot be known, nothing is answered.
 */
import type { Metadata, ServerWritableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError } from '../../errors/index.ts';
import { systemClock } from '../../identity/index.ts';
import { type Caller, createGrpcServer } from '../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { Sent, Service } from '../../proto/service.ts';
import { type SpiffeWorkloadApi, spiffeWorkloadApi } from '../../proto/spiffe/workload/workload.ts';
import { newestWriter } from './newest-writer.ts';
import { jwtBundlesResponse, x509BundlesResponse, x509SvidResponse } from './responses.ts';

export interface WorkloadApiOptions {
  /** Path of the socket. */
  readonly socket: string;
  readonly identity: OwnIdentity;
  /** The app's uid; null for the sidecar's own. */
  readonly allowedUid: number | null;
  readonly log: Logger;
  /** Aborting it closes the socket. */
  readonly signal: AbortSignal;
}

export interface WorkloadApi {
  close(): Promise<void>;
}

/** SPIFFE Workload Endpoint section 6.1: what a browser or a confused proxy cannot send. */
const SECURITY_HEADER = 'workload.spiffe.io';
/** Streams at once; an app keeps one or two for each of its libraries. */
const MAX_STREAMS = 256;

type Served = Pick<SpiffeWorkloadApi, 'fetchX509SVID' | 'fetchX509Bundles' | 'fetchJWTBundles'>;
const { FetchX509SVID, FetchX509Bundles, FetchJWTBundles } = spiffeWorkloadApi.definition;
/** What is not in here, gRPC itself answers with UNIMPLEMENTED. */
const SERVED: Service<Served> = {
  name: spiffeWorkloadApi.name,
  definition: { FetchX509SVID, FetchX509Bundles, FetchJWTBundles } as Service<Served>['definition'],
};

/**
 * Serves until closed. Removes a socket file that an ended process left.
 * @throws what listening on the path throws
 */
export async function startWorkloadApi(options: WorkloadApiOptions): Promise<WorkloadApi> {
  const { socket, identity, log, signal } = options;
  const allowedUid = options.allowedUid ?? process.getuid?.() ?? null;
  const streams = new Set<ServerWritableStream<unknown, never>>();

  /** @throws {BehalfError} `request_malformed`, `local_peer_refused` */
  function checkCaller(metadata: Metadata, { unix }: Caller): void {
    const values = metadata.get(SECURITY_HEADER);
    if (values.length !== 1 || values[0] !== 'true') {
      throw new BehalfError('request_malformed', { why: `security header missing: ${SECURITY_HEADER}: true` });
    }
    if (unix === null || unix.uid !== allowedUid) {
      log.warn({ uid: unix?.uid ?? null }, 'workload api refused a process');
      throw new BehalfError('local_peer_refused', { why: 'the process runs under another uid' });
    }
  }

  function follow<S>(make: (identity: OwnIdentity) => Sent<S>, news: 'identity' | 'bundle') {
    return (_request: unknown, stream: ServerWritableStream<unknown, Sent<S>>, caller: Caller): void => {
      checkCaller(stream.metadata, caller);
      // A client tries again by itself; an SVID that has ended would only fail it later.
      if (identity.current().notAfterS <= systemClock())
        throw new BehalfError('trust_unavailable', { why: 'SVID ended' });
      if (streams.size >= MAX_STREAMS) throw new BehalfError('overloaded', { limit: MAX_STREAMS });
      const write = newestWriter(stream, () => make(identity));
      // An SVID comes with its bundle, so that it follows both.
      const undo = identity.onChange((what) => {
        if (what === 'bundle' || news === 'identity') write();
      });
      const ended = (): void => {
        undo();
        streams.delete(stream as ServerWritableStream<unknown, never>);
      };
      streams.add(stream as ServerWritableStream<unknown, never>);
      stream.on('cancelled', ended).on('close', ended).on('error', ended);
      write();
    };
  }

  const server = createGrpcServer({ identity, log });
  server.add(SERVED, {
    fetchX509SVID: follow(x509SvidResponse, 'identity'),
    fetchX509Bundles: follow(x509BundlesResponse, 'bundle'),
    fetchJWTBundles: follow(jwtBundlesResponse, 'bundle'),
  });
  await server.listenUnix(socket);
  log.info({ socket, uid: allowedUid }, 'workload api listens');

  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    signal.removeEventListener('abort', close);
    for (const stream of streams) stream.end();
    closing ??= server.close();
    return closing;
  };
  signal.addEventListener('abort', close);
  return { close };
}
