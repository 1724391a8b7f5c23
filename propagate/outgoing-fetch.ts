/**
 * Outgoing requests of the global `fetch`. The handle is put on in the call itself: undici's pools may make the request
 * later, from code that belongs to another one. Its `undici:request:create` channel then sees every single request, also
 * those that a redirect causes, and takes the handle off where it would go elsewhere.
 */
import { subscribe } from 'node:diagnostics_channel';
import { CONTEXT_HEADER, currentHandle, isSidecar } from './context.ts';
import { nodeUsesProxy } from './proxies.ts';

/** Copies the handle onto each fetch of the sidecar from now on. */
export function copyOntoFetches(): void {
  const original = globalThis.fetch;
  const fetchInContext: typeof fetch = (input, init) => {
    const headers = headersWithHandle(input, init);
    return headers === null ? original(input, init) : original(input, { ...init, headers });
  };
  Object.defineProperty(globalThis, 'fetch', {
    value: fetchInContext,
    writable: true,
    configurable: true,
    enumerable: true,
  });
  subscribe('undici:request:create', onUndiciRequest);
}

/** Null where the call goes out as it is. */
function headersWithHandle(input: Parameters<typeof fetch>[0], init: RequestInit | undefined): Headers | null {
  const handle = currentHandle();
  if (handle === null) return null;
  const request = input instanceof Request ? input : null;
  const url = URL.parse(request === null ? String(input) : request.url);
  if (url === null || !isSidecar(url.hostname, portOf(url)) || nodeUsesProxy(url.hostname)) return null;
  const headers = new Headers(init?.headers ?? request?.headers);
  if (headers.has(CONTEXT_HEADER)) return null;
  headers.set(CONTEXT_HEADER, handle);
  return headers;
}

function onUndiciRequest(message: unknown): void {
  const { request } = message as { request: { origin?: unknown; headers?: unknown } };
  const { headers } = request;
  const origin = URL.parse(String(request.origin));
  if (!Array.isArray(headers) || (origin !== null && isSidecar(origin.hostname, portOf(origin)))) return;
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (String(headers[i]).toLowerCase() === CONTEXT_HEADER) headers.splice(i, 2);
  }
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
