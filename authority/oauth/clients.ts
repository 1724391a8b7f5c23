/**
 * Who may act as an OAuth client: the applications of the configuration, and the workloads that the signed snapshot registers
 * as entries or gives an edge of their own. The latter authenticate by their SVID (RFC 8705, `tls_client_auth` with a URI SAN)
 * and may exchange tokens, nothing else.
 */
import { readFileSync } from 'node:fs';
import type { AdapterPayload, ClientMetadata } from 'oidc-provider';
import { BehalfError } from '../../errors/index.ts';
import type { PolicySnapshot } from '../../policy/snapshot/snapshot.ts';

/** Secrets are not counted against guessing, so they have to be beyond it. */
const MIN_SECRET_BYTES = 32;

export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** An application that asks users for consent. */
export interface ClientConfig {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  /** Scopes that it may ask for. */
  readonly scopes: readonly string[];
  readonly owner: string;
  readonly reason: string;
  /** A client that can keep a secret; absent for one that cannot (RFC 6749 section 2.1). */
  readonly confidential?: { readonly secretFile: string };
  /** How far it may ask users to let work be put off: seconds, and uses of each piece of work. Absent: not at all. */
  readonly deferrable?: { readonly maxS: number; readonly uses: number };
}

/**
 * The registration of a configured client. Each client sees pseudonyms of its own, so that two cannot compare their users.
 * @throws {BehalfError} `config_invalid` for redirect URIs on several hosts or in the clear, and a secret that is unreadable
 *   or too short
 */
export function metadataOfClient(client: ClientConfig): ClientMetadata {
  const uris = client.redirectUris.map((uri) => URL.parse(uri));
  if (new Set(uris.map((uri) => uri?.host)).size !== 1) {
    throw new BehalfError('config_invalid', { client: client.id, why: 'its redirect URIs have to be on one host' });
  }
  // OAuth 2.1 section 2.3.1: a code in the clear is anyone's. The library takes plain http from web clients.
  if (uris.some((uri) => uri === null || (uri.protocol === 'http:' && !isLoopbackUrl(uri)))) {
    throw new BehalfError('config_invalid', {
      client: client.id,
      why: 'a redirect URI without TLS has to be on loopback',
    });
  }
  const loopback = uris.every((uri) => uri !== null && isLoopbackUrl(uri));
  return {
    client_id: client.id,
    client_name: client.name,
    redirect_uris: [...client.redirectUris],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    subject_type: 'pairwise',
    // RFC 8252: an application on the user's machine is native; its loopback redirect may be plain http.
    application_type: loopback ? 'native' : 'web',
    ...(client.confidential === undefined
      ? { token_endpoint_auth_method: 'none' }
      : {
          token_endpoint_auth_method: 'client_secret_basic',
          client_secret: readSecret(client.id, client.confidential.secretFile),
        }),
  };
}

/** The registration of a workload, where the snapshot lets it exchange tokens. */
export function metadataOfWorkload(snapshot: PolicySnapshot | null, id: string): AdapterPayload | undefined {
  const workload = snapshot !== null && Object.hasOwn(snapshot.workloads, id) ? snapshot.workloads[id] : undefined;
  if (workload === undefined) return undefined;
  const mayExchange = workload.entry_ceiling !== null || workload.own.length > 0 || workload.deferrable === true;
  if (!mayExchange) return undefined;
  return {
    client_id: id,
    client_name: workload.name,
    redirect_uris: [],
    grant_types: [TOKEN_EXCHANGE_GRANT],
    response_types: [],
    subject_type: 'public',
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_uri: id,
  };
}

/** Whether a URL is on this machine. */
export function isLoopbackUrl({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function readSecret(client: string, file: string): string {
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new BehalfError('config_invalid', { client, why: 'its secret file cannot be read' }, { cause });
  }
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    throw new BehalfError('config_invalid', { client, why: `its secret is shorter than ${MIN_SECRET_BYTES} bytes` });
  }
  return secret;
}
