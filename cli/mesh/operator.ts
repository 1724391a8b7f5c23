/**
 * Who a person is to the mesh: the owner of the state directory attests on the CA's Unix socket and so becomes
 * `spiffe://<td>/behalf/operator/<name>`; its key and SVID are kept in the directory, so that the next command need not ask.
 */
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { connectService, type ServiceClient } from '../../identity/mtls/index.ts';
import { openIdentity } from '../../identity/own/index.ts';
import type { OwnIdentity } from '../../identity/own/own-identity.ts';
import type { SpiffeId } from '../../identity/index.ts';
import type { Service } from '../../proto/service.ts';
import { type MeshFile, readMeshFile } from './mesh-file.ts';

/** How long an operator's certificate lives: commands are short, and it is renewed by the next one. */
const OPERATOR_TTL_S = 3600;

/** The CLI's connections to the parts of one mesh, as its operator. */
export interface Operator {
  readonly mesh: MeshFile;
  readonly identity: OwnIdentity;
  /** A client of a part; closed with the operator. */
  connect<T>(service: Service<T>, part: { readonly id: SpiffeId; readonly address: string }): ServiceClient<T>;
  close(): Promise<void>;
}

export interface OperatorAccess {
  readonly caAddress: string;
  readonly unixSocket: string;
  readonly bundleFile: string;
  readonly dataDir: string;
}

/** The operator's identity. */
export async function openOperatorIdentity(access: OperatorAccess, log: Logger, signal: AbortSignal): Promise<OwnIdentity> {
  const { caAddress, bundleFile, unixSocket, dataDir } = access;
  return openIdentity({ trust: { caAddress, bundleFile, attest: { unixSocket }, ttlS: OPERATOR_TTL_S }, dataDir, log, signal });
}

/**
 * Runs something as the operator of the mesh in `directory`, and closes what was opened.
 * @throws {BehalfError} `not_found` where no mesh runs there, `attestation_failed` where we are not its owner
 */
export async function asOperator<R>(directory: string, work: (operator: Operator) => Promise<R>): Promise<R> {
  const mesh = readMeshFile(directory);
  const log = pino({ level: process.env['BEHALF_LOG_LEVEL'] ?? 'fatal' }, pino.destination({ dest: 2, sync: true }));
  const stop = new AbortController();
  const access = { caAddress: mesh.ca.address, unixSocket: mesh.ca.unixSocket, bundleFile: mesh.bundleFile, dataDir: join(directory, 'operator') };
  const identity = await openOperatorIdentity(access, log, stop.signal);
  const clients: { close(): void }[] = [];
  try {
    return await work({
      mesh,
      identity,
      connect: (service, { id, address }) => {
        const client = connectService(service, { address, identity, expect: id, log });
        clients.push(client);
        return client;
      },
      close: () => identity.close(),
    });
  } finally {
    for (const client of clients) client.close();
    stop.abort();
    await identity.close();
  }
}
