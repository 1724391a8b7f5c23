/**
 * A client that is no sidecar: real mutual TLS and HTTP/2 to a sidecar's mTLS port, with an SVID of its own and whatever
 * headers its owner wants. The story's attackers and its probe use it.
 */
import http2, { type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import tls from 'node:tls';
import { errorOfGrpcAnswer, STATUS_DETAILS_KEY } from '../../../errors/grpc-status.ts';
import { isErrorCode } from '../../../errors/index.ts';
import { meshClientTlsOptions, verifyPeer } from '../../../identity/mtls/index.ts';
import type { OwnIdentity } from '../../../identity/own/own-identity.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 5_000;
const MAX_BODY_BYTES = 65_536;

export interface MeshAnswer {
  /** HTTP status of the head. */
  readonly status: number;
  /** gRPC status; null where none came. */
  readonly grpcStatus: number | null;
  /** The code that the sidecar answered with; null where the service itself answered. */
  readonly code: string | null;
}

export interface MeshClient {
  call(headers: OutgoingHttpHeaders, body: Buffer): Promise<MeshAnswer>;
  close(): void;
}

/**
 * Connects as `identity`. The server must prove to be of the mesh, as for anyone.
 * @throws {BehalfError} `peer_untrusted`; or what TLS reports where the server ends the connection
 */
export async function connectMesh(address: string, identity: OwnIdentity): Promise<MeshClient> {
  const socket = await connectTls(address, identity);
  const session = http2.connect(`https://${address}`, { createConnection: () => socket });
  session.on('error', () => {}); // the calls on it say it
  return { call: (headers, body) => callOn(session, headers, body), close: () => session.destroy() };
}

/** The body of a gRPC call with an empty message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const EMPTY_GRPC_MESSAGE: Buffer = Buffer.alloc(5);

/** The head of a gRPC call. */
export function grpcHead(path: string, headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers };
}

function connectTls(address: string, identity: OwnIdentity): Promise<tls.TLSSocket> {
  const at = address.lastIndexOf(':');
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...meshClientTlsOptions(identity),
      host: address.slice(0, at),
      port: Number(address.slice(at + 1)),
      ALPNProtocols: ['h2'],
    });
    const timer = setTimeout(() => socket.destroy(new Error('no TLS connection in time')), CONNECT_TIMEOUT_MS);
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      try {
        verifyPeer(socket, identity, Date.now() / 1000, 'server');
        resolve(socket);
      } catch (error) {
        socket.destroy();
        reject(error);
      }
    });
  });
}

function callOn(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body: Buffer): Promise<MeshAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    const chunks: Buffer[] = [];
    let size = 0;
    let head: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    stream.setTimeout(CALL_TIMEOUT_MS, () => stream.close(http2.constants.NGHTTP2_CANCEL));
    stream.on('response', (received) => {
      head = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(answerOf(head, { ...head, ...trailers }, Buffer.concat(chunks))));
    stream.end(body);
  });
}

/** The code stands in `Delegation-Error`, in the details of a gRPC status, or in a problem body (WIRE.md section 4). */
function answerOf(head: Record<string, unknown>, all: Record<string, unknown>, body: Buffer): MeshAnswer {
  const status = Number(head[':status'] ?? 0);
  const grpcStatus = all['grpc-status'] === undefined ? null : Number(all['grpc-status']);
  return { status, grpcStatus, code: codeOfHeaders(all, grpcStatus) ?? codeOfProblem(body) };
}

function codeOfHeaders(headers: Record<string, unknown>, grpcStatus: number | null): string | null {
  const named = headers['delegation-error'];
  if (typeof named === 'string' && isErrorCode(named)) return named;
  const details = headers[STATUS_DETAILS_KEY];
  if (typeof details !== 'string' || grpcStatus === null || grpcStatus === 0) return null;
  const { code } = errorOfGrpcAnswer(grpcStatus, String(headers['grpc-message'] ?? ''), Buffer.from(details, 'base64'));
  return code === 'internal' ? null : code;
}

function codeOfProblem(body: Buffer): string | null {
  if (body[0] !== 0x7b) return null;
  try {
    const { code } = JSON.parse(body.toString('utf8')) as { code?: unknown };
    return typeof code === 'string' ? code : null;
  } catch {
    return null;
  }
}
