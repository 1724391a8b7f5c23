/**
 * Inbound requests of every server in the process: `node:http`, `node:https` and `node:http2` (so of grpc-js too). The
 * handlers of a request, and all events of its request and response, run as work of that request.
 */
import { EventEmitter } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { bindEmitter, CONTEXT_HEADER, type Handle, runWith } from './context.ts';

/** Events of servers that hand over a request: `(request, response or socket, …)`. */
const REQUEST_EVENTS: ReadonlySet<unknown> = new Set([
  'request',
  'checkContinue',
  'checkExpectation',
  'upgrade',
  'connect',
]);

/** Reads the handle of each inbound request from now on, also of servers that listen already. */
export function readInboundContexts(): void {
  for (const prototype of serverPrototypes()) {
    const { emit } = prototype;
    prototype.emit = function emitInRequestContext(this: EventEmitter, ...event: Parameters<typeof emit>): boolean {
      const [name, first, second] = event;
      // HTTP/2: `(stream, headers, …)`; its compatibility layer emits `request` within.
      const headers = name === 'stream' ? second : REQUEST_EVENTS.has(name) ? headersOf(first) : null;
      if (headers === null) return Reflect.apply(emit, this, event);
      const handle = handleIn(headers);
      for (const emitter of [first, second]) if (emitter instanceof EventEmitter) bindEmitter(emitter, handle);
      return runWith(handle, () => Reflect.apply(emit, this, event));
    };
  }
}

/** The two of HTTP/2 are not exported; servers that never listen hold nothing open. */
function serverPrototypes(): EventEmitter[] {
  const http2Servers = [http2.createServer(), http2.createSecureServer()].map((server) =>
    Object.getPrototypeOf(server),
  );
  return [http.Server.prototype, https.Server.prototype, ...http2Servers];
}

function headersOf(request: unknown): unknown {
  return typeof request === 'object' && request !== null && 'headers' in request ? request.headers : null;
}

/** A repeated header stays as Node joins it: no handle looks so, and the sidecar refuses it. */
function handleIn(headers: unknown): Handle {
  const value = (headers as Record<string, unknown>)[CONTEXT_HEADER];
  return typeof value === 'string' ? value : null;
}
