/**
 * Outgoing requests of `node:http2`. gRPC is left to `outgoing-grpc.ts`: its library queues calls and makes requests later,
 * from code that belongs to no call or to another one.
 */
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import { bindEmitter, CONTEXT_HEADER, currentHandle, type Handle, isSidecar, runWith } from './context.ts';

type Request = ClientHttp2Session['request'];
type Headers = Parameters<Request>[0] | readonly string[];

/** Copies the handle onto each request of a session that is opened to the sidecar from now on. */
export function copyOntoHttp2Requests(): void {
  const { connect } = http2;
  http2.connect = function connectAndCopy(...target: Parameters<typeof connect>): ClientHttp2Session {
    const session = runWith(null, () => connect(...target));
    const request = session.request.bind(session);
    const local = leadsToSidecar(target[0], target[1]);
    session.request = (headers, options) => requestInContext(request, headers, options, local);
    return session;
  } as typeof connect;
  syncBuiltinESMExports();
}

/** Node connects to what the options say before what the URL says. */
function leadsToSidecar(authority: string | URL, options: unknown): boolean {
  const { hostname, port, protocol } = new URL(authority);
  const given = typeof options === 'object' && options !== null ? (options as Record<string, unknown>) : {};
  if (given['createConnection'] != null || given['path'] != null) return false;
  const at = given['port'] ?? (port === '' ? (protocol === 'https:' ? 443 : 80) : port);
  return isSidecar(String(given['host'] ?? hostname), Number(at));
}

function requestInContext(request: Request, headers: Headers, options: unknown, local: boolean): ClientHttp2Stream {
  const handle = currentHandle();
  const own = handle === null || !local || isGrpc(headers) || valueIn(headers, CONTEXT_HEADER) !== undefined;
  const stream = Reflect.apply(request, null, [own ? headers : withHandle(headers, handle), options]);
  // The session belongs to many requests: what it reports of this one is heard as work of the one that made it, or of none.
  if (!isGrpc(headers)) bindEmitter(stream, handle);
  return stream;
}

function withHandle(headers: Headers, handle: Handle): unknown {
  return Array.isArray(headers) ? [...headers, CONTEXT_HEADER, handle] : { ...headers, [CONTEXT_HEADER]: handle };
}

function isGrpc(headers: Headers): boolean {
  return String(valueIn(headers, 'content-type')).startsWith('application/grpc');
}

/** Headers come as an object or as a flat list; names in any case. */
function valueIn(headers: Headers, name: string): unknown {
  if (Array.isArray(headers)) {
    const at = headers.findIndex((text, i) => i % 2 === 0 && String(text).toLowerCase() === name);
    return at < 0 ? undefined : headers[at + 1];
  }
  return Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
}
