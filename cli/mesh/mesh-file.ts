/** `mesh.json`: where the parts of a running mesh are and who they are. Written last, when everything serves; no secret in it. */
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../identity/index.ts';
import { MESH_FILE, readStateFile } from './state-dir.ts';

/** A service, or a workload without one, and the ports of its sidecar. */
export interface MeshService {
  readonly name: string;
  readonly id: SpiffeId;
  /** mTLS port, `host:port`. */
  readonly mesh: string;
  /** Where the sidecar's own local API is, a URL. */
  readonly localApi: string;
  /** The port for calls by `Host`, a URL. */
  readonly shared: string;
  /** The entry listener, a URL; null where there is none. */
  readonly entry: string | null;
  /** Local ports for calls, URLs by the peer's name. */
  readonly peers: Readonly<Record<string, string>>;
  /** Local ports for calls to destinations outside the mesh, URLs by the exit's name. */
  readonly exits: Readonly<Record<string, string>>;
  /** Where the service itself listens; null where there is none. */
  readonly app: string | null;
}

export interface MeshFile {
  readonly version: 1;
  readonly trustDomain: TrustDomain;
  readonly pid: number;
  readonly bundleFile: string;
  readonly ca: { readonly id: SpiffeId; readonly address: string; readonly unixSocket: string };
  readonly authority: {
    readonly id: SpiffeId;
    readonly address: string;
    readonly issuer: string;
    readonly jwksUri: string;
  } | null;
  readonly collector: { readonly id: SpiffeId; readonly address: string; readonly logDir: string };
  readonly services: readonly MeshService[];
}

/**
 * Reads the file of the mesh in `directory`.
 * @throws {BehalfError} `not_found` where no mesh runs there, `config_invalid` where it is another version's
 */
export function readMeshFile(directory: string): MeshFile {
  const file = readStateFile(directory, MESH_FILE) as MeshFile;
  if (file.version !== 1)
    throw new BehalfError('config_invalid', { file: MESH_FILE, why: 'was written by another version of Behalf' });
  parseTrustDomain(file.trustDomain);
  for (const service of file.services) parseSpiffeId(service.id);
  return file;
}
