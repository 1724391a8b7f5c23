/**
 * Between our handlers and grpc-js's: unary methods are functions that return or throw, and everything thrown becomes a
 * status with its code here (WIRE.md section 4).
 */
import * as grpc from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { grpcAnswerOf, STATUS_DETAILS_KEY } from '../../errors/grpc-status.ts';
import { BehalfError } from '../../errors/index.ts';
import type { Bidi, Sent, ServerStream, Service, Unary } from '../../proto/service.ts';
import { type Caller, callerOf } from './caller.ts';

/** What serves a service: one function a method. What a stream's function throws or rejects with ends the stream. */
export type Implementation<T> = {
  readonly [K in keyof T]: T[K] extends Unary<infer Q, infer S>
    ? (request: Q, caller: Caller) => Promise<Sent<S>> | Sent<S>
    : T[K] extends ServerStream<infer Q, infer S>
      ? (request: Q, stream: grpc.ServerWritableStream<Q, Sent<S>>, caller: Caller) => Promise<void> | void
      : T[K] extends Bidi<infer Q, infer S>
        ? (stream: grpc.ServerDuplexStream<Q, Sent<S>>, caller: Caller) => Promise<void> | void
        : never;
};

type AnyHandler = (...args: unknown[]) => unknown;

/** grpc-js's handlers for an implementation, by method name as in the definition. */
export function toHandlers<T>(
  service: Service<T>,
  implementation: Implementation<T>,
  log: Logger,
): grpc.UntypedServiceImplementation {
  const handlers: grpc.UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service.definition)) {
    const handler = (implementation as Readonly<Record<string, AnyHandler>>)[lowerFirst(name)];
    if (handler === undefined) throw new Error(`${service.name} has no handler for ${name}`);
    handlers[name] = handlerOf(method, handler, log);
  }
  return handlers;
}

function handlerOf(
  method: grpc.MethodDefinition<unknown, unknown>,
  handler: AnyHandler,
  log: Logger,
): grpc.UntypedHandleCall {
  if (method.requestStream && !method.responseStream) throw new Error(`${method.path}: client streams are not used`);
  if (method.requestStream) {
    return (stream: grpc.ServerDuplexStream<unknown, unknown>) =>
      runStream(stream, method.path, log, () => handler(stream, callerOf(stream.metadata)));
  }
  if (method.responseStream) {
    return (stream: grpc.ServerWritableStream<unknown, unknown>) =>
      runStream(stream, method.path, log, () => handler(stream.request, stream, callerOf(stream.metadata)));
  }
  return (call: grpc.ServerUnaryCall<unknown, unknown>, answer: grpc.sendUnaryData<unknown>) => {
    void runUnary(call, method.path, log, handler, answer);
  };
}

async function runUnary(
  call: grpc.ServerUnaryCall<unknown, unknown>,
  path: string,
  log: Logger,
  handler: AnyHandler,
  answer: grpc.sendUnaryData<unknown>,
): Promise<void> {
  try {
    answer(null, await handler(call.request, callerOf(call.metadata)));
  } catch (error) {
    answer(statusOf(error, path, log));
  }
}

function runStream(
  stream: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>,
  path: string,
  log: Logger,
  start: () => unknown,
): void {
  const fail = (error: unknown): void => {
    if (!stream.cancelled) stream.emit('error', statusOf(error, path, log));
  };
  try {
    Promise.resolve(start()).catch(fail);
  } catch (error) {
    fail(error);
  }
}

/** The status of anything that was thrown; what is no refusal of ours is logged and told to nobody else. */
function statusOf(error: unknown, path: string, log: Logger): grpc.StatusObject {
  if (!(error instanceof BehalfError) || error.code === 'internal') log.error({ err: error, path }, 'a call failed');
  const answer = grpcAnswerOf(error instanceof BehalfError ? error : new BehalfError('internal'));
  const metadata = new grpc.Metadata();
  metadata.set(STATUS_DETAILS_KEY, answer.details);
  return { code: answer.status, details: answer.message, metadata };
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
