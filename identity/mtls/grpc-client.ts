/**
 * Clients of the mesh's gRPC services: methods by name, promises for unary calls, refusals as `BehalfError`. After a renewal
 * new calls go over a new connection with the new certificate; streams on the old one may go on until shortly before the old
 * certificate ends, then they end with `upstream_unavailable` and their owner opens them anew.
 */
import * as grpc from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { errorOfGrpcAnswer, STATUS_DETAILS_KEY } from '../../errors/grpc-status.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Bidi, Sent, ServerStream, Service, Unary } from '../../proto/service.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import { type ClientTrust, meshChannelCredentials } from './channel-credentials.ts';

export interface CallOptions {
  /** Milliseconds until the call ends with `upstream_timeout`; unary calls have `DEFAULT_DEADLINE_MS`, streams none. */
  readonly deadlineMs?: number;
}

/** A client's methods, by the service's shape. Errors of streams are to be read with `errorOfCall`. */
export type ServiceMethods<T> = {
  readonly [K in keyof T]: T[K] extends Unary<infer Q, infer S>
    ? (request: Sent<Q>, options?: CallOptions) => Promise<S>
    : T[K] extends ServerStream<infer Q, infer S>
      ? (request: Sent<Q>, options?: CallOptions) => grpc.ClientReadableStream<S>
      : T[K] extends Bidi<infer Q, infer S>
        ? (options?: CallOptions) => grpc.ClientDuplexStream<Sent<Q>, S>
        : never;
};

/** Beside the methods, `close()` ends the connection and every call on it. */
export type ServiceClient<T> = ServiceMethods<T> & { close(): void };

/** Where and as whom to call. */
export type ConnectOptions = {
  /** `host:port`. */
  readonly address: string;
  /** SPIFFE ID that the server must prove; null for any of the trust domain. */
  readonly expect: SpiffeId | null;
  readonly log: Logger;
  readonly clock?: Clock;
} & ClientTrust;

const DEFAULT_DEADLINE_MS = 10_000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** How long before its certificate's end an old connection is given up: a twentieth of the life, within these bounds. */
const DRAIN = { fraction: 0.05, minS: 1, maxS: 60 } as const;
const MAX_TIMER_MS = 2_147_483_647;

const OPTIONS: grpc.ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  // Mesh traffic never goes through a proxy that the environment names.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // A connection that died without a word must be found, and another be made, well before what came over it goes stale: live
  // state of the authority after 15 s at the least (DESIGN section 6).
  'grpc.keepalive_time_ms': 4_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
};

interface Connection {
  readonly client: grpc.Client;
  readonly streams: Set<grpc.ClientReadableStream<unknown> | grpc.ClientDuplexStream<unknown, unknown>>;
}

/** Connects lazily and keeps reconnecting; nothing is thrown here. */
export function connectService<T>(service: Service<T>, options: ConnectOptions): ServiceClient<T> {
  const clock = options.clock ?? systemClock;
  const open = (): Connection => ({
    client: new grpc.Client(options.address, meshChannelCredentials(options, options.expect, clock), OPTIONS),
    streams: new Set(),
  });
  return clientOf(service, open, (cycle) => followRenewals(options, clock, cycle));
}

/** Connects to a Unix socket on this machine, in the clear: its rights in the file system say who serves there. */
export function connectUnixService<T>(service: Service<T>, path: string): ServiceClient<T> {
  const open = (): Connection => ({
    client: new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), OPTIONS),
    streams: new Set(),
  });
  return clientOf(service, open, () => () => undefined);
}

/** The refusal that a failed call or stream stands for. */
export function errorOfCall(error: unknown): BehalfError {
  if (error instanceof BehalfError) return error;
  if (!isServiceError(error)) return new BehalfError('internal', {}, { cause: error });
  const details = error.metadata.get(STATUS_DETAILS_KEY)[0];
  return errorOfGrpcAnswer(error.code, error.details, Buffer.isBuffer(details) ? details : null);
}

function isServiceError(error: unknown): error is grpc.ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error && error.metadata instanceof grpc.Metadata;
}

type Cycle = (drainAfterMs: number) => void;

/** Makes a new connection at each renewal and gives the old one the time that its certificate has left. */
function followRenewals(trust: ClientTrust, clock: Clock, cycle: Cycle): () => void {
  if (!('identity' in trust)) return () => undefined;
  let used = trust.identity.current();
  return trust.identity.onChange((what) => {
    if (what !== 'identity') return;
    const { notBeforeS, notAfterS } = used;
    used = trust.identity.current();
    const reserveS = Math.min(DRAIN.maxS, Math.max(DRAIN.minS, (notAfterS - notBeforeS) * DRAIN.fraction));
    cycle(Math.min(MAX_TIMER_MS, Math.max(0, (notAfterS - reserveS - clock()) * 1000)));
  });
}

function clientOf<T>(
  service: Service<T>,
  open: () => Connection,
  follow: (cycle: Cycle) => () => void,
): ServiceClient<T> {
  let current = open();
  const draining = new Map<Connection, NodeJS.Timeout>();
  const end = (connection: Connection): void => {
    clearTimeout(draining.get(connection));
    draining.delete(connection);
    for (const stream of connection.streams) stream.cancel();
    connection.client.close();
  };
  const unfollow = follow((drainAfterMs) => {
    const old = current;
    current = open();
    if (old.streams.size === 0) drainAfterMs = Math.min(drainAfterMs, DEFAULT_DEADLINE_MS);
    draining.set(old, setTimeout(end, drainAfterMs, old).unref());
  });
  const methods: Record<string, unknown> = {
    close: () => {
      unfollow();
      for (const old of [...draining.keys()]) end(old);
      end(current);
    },
  };
  for (const [name, method] of Object.entries(service.definition)) {
    methods[name.charAt(0).toLowerCase() + name.slice(1)] = methodOf(method, () => current);
  }
  return methods as unknown as ServiceClient<T>;
}

function methodOf(method: grpc.MethodDefinition<unknown, unknown>, current: () => Connection): unknown {
  const { path, requestSerialize, responseDeserialize } = method;
  if (method.requestStream) {
    return (options?: CallOptions) => {
      const connection = current();
      const stream = connection.client.makeBidiStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        new grpc.Metadata(),
        deadlineOf(options, null),
      );
      return track(stream, connection);
    };
  }
  if (method.responseStream) {
    return (request: unknown, options?: CallOptions) => {
      const connection = current();
      const stream = connection.client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new grpc.Metadata(),
        deadlineOf(options, null),
      );
      return track(stream, connection);
    };
  }
  return (request: unknown, options?: CallOptions) =>
    new Promise((resolve, reject) => {
      current().client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new grpc.Metadata(),
        deadlineOf(options, DEFAULT_DEADLINE_MS),
        (error, value) => (error === null ? resolve(value) : reject(errorOfCall(error))),
      );
    });
}

/** Remembers a running stream until it ends, so that it can be ended with its connection. */
function track<S extends grpc.ClientReadableStream<unknown> | grpc.ClientDuplexStream<unknown, unknown>>(
  stream: S,
  connection: Connection,
): S {
  connection.streams.add(stream);
  stream.once('status', () => connection.streams.delete(stream));
  return stream;
}

function deadlineOf(options: CallOptions | undefined, fallbackMs: number | null): grpc.CallOptions {
  const deadlineMs = options?.deadlineMs ?? fallbackMs;
  return deadlineMs === null ? {} : { deadline: Date.now() + deadlineMs };
}
