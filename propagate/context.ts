/**
 * Which inbound request the running code works for: its `Delegation-Context` handle, kept in an AsyncLocalStorage. Owns the
 * rule that a context never flows through a connection: connections are shared between requests, so that what runs in the
 * name of a connection has no context, and what belongs to one request is bound to it by name. A context that is lost makes
 * the sidecar refuse the call; one taken from another request would make it act for another user.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';
import { syncBuiltinESMExports } from 'node:module';
import { isIP, Socket } from 'node:net';
import tls from 'node:tls';

/** The one header that is copied; lower case, as HTTP/2 wants it. */
export const CONTEXT_HEADER = 'delegation-context';

/** The handle of the inbound request; null for work that belongs to none. */
export type Handle = string | null;

const storage = new AsyncLocalStorage<Handle>();

/** The handle of the inbound request that the running code belongs to. */
export function currentHandle(): Handle {
  return storage.getStore() ?? null;
}

/** Runs code as work of that request, or of none. */
export function runWith<T>(handle: Handle, run: () => T): T {
  return storage.run(handle, run);
}

/** Runs every listener of an emitter that serves one request alone as work of that request, whoever emits. */
export function bindEmitter(emitter: EventEmitter, handle: Handle): void {
  const emit = emitter.emit;
  emitter.emit = function emitInContext(this: EventEmitter, ...event: Parameters<EventEmitter['emit']>): boolean {
    return storage.run(handle, () => Reflect.apply(emit, this, event));
  };
}

/**
 * Connections are opened in the name of no request, so that their events never run under the one that happened to open them.
 * A TLS socket is a handle of its own, made before it connects.
 */
export function detachConnections(): void {
  Socket.prototype.connect = withoutContext(Socket.prototype.connect);
  tls.connect = withoutContext(tls.connect);
  syncBuiltinESMExports();
}

/** The same function, run as work of no request. */
function withoutContext<F extends (...given: never[]) => unknown>(opens: F): F {
  return function open(this: unknown, ...given: unknown[]): unknown {
    return storage.run(null, () => Reflect.apply(opens, this, given));
  } as unknown as F;
}

/**
 * Whether a call goes to the own sidecar: to a port of `BEHALF_PORTS` on this machine. A handle has no business elsewhere, also
 * not with another program here. Where the variable is missing no port is the sidecar's: calls then go out as the app made them.
 */
export function isSidecar(host: string, port: number): boolean {
  return sidecarPorts.has(port) && isLoopback(host);
}

const sidecarPorts = readPorts(process.env['BEHALF_PORTS'] ?? '');

/** Says once, at start, when nothing will be copied. */
export function warnWithoutPorts(): void {
  if (sidecarPorts.size > 0) return;
  process.emitWarning('BEHALF_PORTS names no port of a sidecar: Delegation-Context is copied onto no call', {
    code: 'BEHALF_NO_PORTS',
  });
}

/** `9101,127.0.0.1:9102,http://127.0.0.1:9103`; what is no port is left out. */
export function readPorts(list: string): ReadonlySet<number> {
  const ports = list.split(',').map((one) => /^(?:.*:)?([0-9]{1,5})\/?$/.exec(one.trim())?.[1] ?? '0');
  return new Set(ports.map(Number).filter((port) => port > 0 && port < 65_536));
}

/**
 * Whether a host, as a URL or an option writes it, is this machine: `localhost`, names under it (RFC 6761 section 6.3),
 * 127.0.0.0/8 and ::1.
 */
export function isLoopback(host: string): boolean {
  const name = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host.toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  switch (isIP(name)) {
    case 4:
      return name.startsWith('127.');
    case 6:
      return name === '::1' || name.toLowerCase().startsWith('::ffff:127.');
    default:
      return false;
  }
}
