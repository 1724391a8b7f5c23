/**
 * Outgoing calls of `@grpc/grpc-js`. A call may wait for its connection, and is then started from code that belongs to
 * another call or to none; so the handle is taken where the app makes the call, by wrapping the channel's `createCall`. The
 * library is the app's own: each copy of it is wrapped as it is loaded, none is loaded by us.
 */
import { registerHooks } from 'node:module';
import { CONTEXT_HEADER, currentHandle, type Handle, isSidecar, runWith } from './context.ts';
import { grpcUsesProxy } from './proxies.ts';

/** The parts of grpc-js that are used here, as its `channel.ts`, `metadata.ts` and `call-interface.ts` declare them. */
interface Metadata {
  get(name: string): readonly unknown[];
  set(name: string, value: string): void;
  clone(): Metadata;
}
interface Listener {
  onReceiveMetadata(metadata: unknown): void;
  onReceiveMessage(message: unknown): void;
  onReceiveStatus(status: unknown): void;
}
interface Call {
  start(metadata: Metadata, listener: Listener): void;
}
interface Channel {
  getTarget(): string;
  createCall(...given: unknown[]): Call;
}

const CHANNEL_FILE = '/@grpc/grpc-js/build/src/channel.js';
/** Where a target names no port (gRPC naming). */
const GRPC_DEFAULT_PORT = 443;
const WRAP = Symbol.for('behalf.propagate.wrapGrpcChannel');

/** Copies the handle onto each call over a channel to the sidecar, in copies of grpc-js that are loaded from now on. */
export function copyOntoGrpcCalls(): void {
  Object.defineProperty(globalThis, WRAP, { value: wrapChannel });
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(CHANNEL_FILE) || loaded.source == null) return loaded;
      return {
        ...loaded,
        source: `${String(loaded.source)}\n;globalThis[Symbol.for('${WRAP.description}')](exports);`,
      };
    },
  });
}

function wrapChannel(exported: { ChannelImplementation: { prototype: Channel } }): void {
  const { prototype } = exported.ChannelImplementation;
  const { createCall } = prototype;
  prototype.createCall = function createCallInContext(this: Channel, ...given: unknown[]): Call {
    const call: Call = Reflect.apply(createCall, this, given);
    const handle = currentHandle();
    const local = handle !== null && leadsToSidecar(this.getTarget());
    const start = call.start.bind(call);
    call.start = (metadata, listener) =>
      start(local ? withHandle(metadata, handle) : metadata, listenerInContext(listener, handle));
    return call;
  };
}

function withHandle(metadata: Metadata, handle: string): Metadata {
  if (metadata.get(CONTEXT_HEADER).length > 0) return metadata;
  const copy = metadata.clone();
  copy.set(CONTEXT_HEADER, handle);
  return copy;
}

/** What comes back is heard as work of the request that made the call, whoever's connection brought it. */
function listenerInContext(listener: Listener, handle: Handle): Listener {
  return {
    onReceiveMetadata: (metadata) => runWith(handle, () => listener.onReceiveMetadata(metadata)),
    onReceiveMessage: (message) => runWith(handle, () => listener.onReceiveMessage(message)),
    onReceiveStatus: (status) => runWith(handle, () => listener.onReceiveStatus(status)),
  };
}

/** Judges a target such as `dns:127.0.0.1:9101`, `dns://server/host:1`, `ipv4:127.0.0.1:1` or `ipv6:[::1]:1` (gRPC naming). */
function leadsToSidecar(target: string): boolean {
  const endpoint = target.replace(/^(dns|ipv4|ipv6):(\/\/[^/]*\/)?/, '');
  const url = URL.parse(`http://${endpoint}`);
  return (
    url !== null &&
    isSidecar(url.hostname, Number(url.port === '' ? GRPC_DEFAULT_PORT : url.port)) &&
    !grpcUsesProxy(url.hostname)
  );
}
