/**
 * Loads the services of `proto/` with proto-loader and gives them TypeScript shapes. Messages as handlers and clients see
 * them: camelCase names, `bytes` as Buffer, 64-bit integers as numbers (all of ours stay below 2^53), enums as their
 * names, unset scalars as their defaults, unset messages as null, and a oneof's chosen member named under the oneof's name.
 */
import { fileURLToPath } from 'node:url';
import type * as grpc from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';

export const PROTO_ROOT = fileURLToPath(new URL('.', import.meta.url));

/** How every part loads protos, so that all see the same shapes. */
export const LOADER_OPTIONS: Options = {
  includeDirs: [PROTO_ROOT],
  longs: Number,
  enums: String,
  bytes: Buffer,
  defaults: true,
  arrays: true,
  oneofs: true,
};

/** A method's shape: what goes up, what comes down, and which of both are streams. Types only; never built. */
export interface Unary<Q, S> {
  readonly kind: 'unary';
  readonly request: Q;
  readonly response: S;
}
export interface ServerStream<Q, S> {
  readonly kind: 'server';
  readonly request: Q;
  readonly response: S;
}
export interface Bidi<Q, S> {
  readonly kind: 'bidi';
  readonly request: Q;
  readonly response: S;
}

/** A message on its way out: what is left out goes as its default. */
export type Sent<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** A service's definition with the shape that `T` gives its methods. */
export interface Service<T> {
  readonly name: string;
  readonly definition: grpc.ServiceDefinition;
  /** Never set: it carries the type alone. */
  readonly shape?: T;
}

/**
 * Loads one service. `file` is relative to `proto/`, `name` fully qualified, such as `behalf.ca.v1.Registration`.
 * Called at import, so that a missing proto fails at start.
 */
export function defineService<T>(file: string, name: string): Service<T> {
  const definition = loadSync(file, LOADER_OPTIONS)[name];
  if (definition === undefined || 'format' in definition) throw new Error(`${file} has no service ${name}`);
  return { name, definition: definition as grpc.ServiceDefinition };
}
