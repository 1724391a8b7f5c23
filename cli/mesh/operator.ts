/**
 * Who a person is to the mesh: the owner of the state directory attests on the CA's Unix socket and so becomes
 * `spiffe://<td>/behalf/operator/<name>`; its key and SVID are kept in the directory, so that the next command need not ask.
 */
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { type MeshBundle, type SpiffeId, verifyMeshBundle } from '../../identity/index.ts';
import { connectService, errorOfCall, type ServiceClient } from '../../identity/mtls/index.ts';
import { openIdentity } from '../../identity/own/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import { type BundlesResponse, type CertificateAuthority, certificateAuthority } from '../../proto/behalf/ca/v1/ca.ts';
import type { Service } from '../../proto/service.ts';
import { type MeshFile, readMeshFile } from './mesh-file.ts';

/** How long a command waits for the CA. */
const CA_TIMEOUT_MS = 5_000;
/** How long an operator's certificate lives: commands are short, and it is renewed by the next one. */
const OPERATOR_TTL_S = 3600;

/** The CLI's connections to the parts of one mesh, as its operator. */
export interface Operator {
  readonly mesh: MeshFile;
  readonly identity: OwnIdentity;
  /** A client of a part; closed with the operator. */
  connect<T>(service: Service<T>, part: { readonly id: SpiffeId; readonly address: string }): ServiceClient<T>;
  /** The mesh's keys as the CA states them now; those kept with the identity may be older. */
  bundle(): Promise<MeshBundle>;
}

export interface OperatorAccess {
  readonly caAddress: string;
  readonly unixSocket: string;
  readonly bundleFile: string;
  readonly dataDir: string;
}

/** The operator's identity. */
export async function openOperatorIdentity(
  access: OperatorAccess,
  log: Logger,
  signal: AbortSignal,
): Promise<OwnIdentity> {
  const { caAddress, bundleFile, unixSocket, dataDir } = access;
  return openIdentity({
    trust: { caAddress, bundleFile, attest: { unixSocket }, ttlS: OPERATOR_TTL_S },
    dataDir,
    log,
    signal,
  });
}

/**
 * Runs something as the operator of the mesh in `directory`, and closes what was opened.
 * @throws {BehalfError} `not_found` where no mesh runs there, `attestation_failed` where we are not its owner
 */
export async function asOperator<R>(directory: string, work: (operator: Operator) => Promise<R>): Promise<R> {
  const mesh = readMeshFile(directory);
  const log = pino({ level: process.env['BEHALF_LOG_LEVEL'] ?? 'fatal' }, pino.destination({ dest: 2, sync: true }));
  const stop = new AbortController();
  const access = {
    caAddress: mesh.ca.address,
    unixSocket: mesh.ca.unixSocket,
    bundleFile: mesh.bundleFile,
    dataDir: join(directory, 'operator', 'commands'),
  };
  const timer = setTimeout(() => stop.abort(), CA_TIMEOUT_MS);
  const identity = await openOperatorIdentity(access, log, stop.signal);
  clearTimeout(timer);
  const clients: { close(): void }[] = [];
  const connect: Operator['connect'] = (service, { id, address }) => {
    const client = connectService(service, { address, identity, expect: id, log });
    clients.push(client);
    return client;
  };
  try {
    return await work({
      mesh,
      identity,
      connect,
      bundle: () => currentBundle(connect(certificateAuthority, mesh.ca), identity.bundle()),
    });
  } finally {
    for (const client of clients) client.close();
    stop.abort();
    await identity.close();
  }
}

/** The first bundle of the CA's stream, which is the one in force. */
async function currentBundle(ca: ServiceClient<CertificateAuthority>, known: MeshBundle): Promise<MeshBundle> {
  const stream = ca.bundles({ usingSequence: 0 }, { deadlineMs: CA_TIMEOUT_MS });
  try {
    for await (const { bundle } of stream as AsyncIterable<BundlesResponse>) {
      return bundle === null ? known : verifyMeshBundle(bundle, known);
    }
    return known;
  } catch (error) {
    throw errorOfCall(error);
  } finally {
    stream.cancel();
  }
}
