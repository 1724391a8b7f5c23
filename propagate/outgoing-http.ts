/**
 * Outgoing requests of `node:http` and `node:https`, whichever library makes them. One whose headers are given as an array
 * is complete before it can be touched: it stays as it is, and the app copies the header itself.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { bindEmitter, CONTEXT_HEADER, currentHandle, isLoopback } from './context.ts';

/** Copies the handle onto each request that the process makes to a loopback address from now on. */
export function copyOntoHttpRequests(): void {
  // Published by the constructor, so within the code that makes the request, before any queue of an agent.
  subscribe('http.client.request.created', onRequestCreated);
}

function onRequestCreated(message: unknown): void {
  const { request } = message as { request: ClientRequest };
  const handle = currentHandle();
  // A kept-alive connection belongs to many requests: what it reports is heard as work of the right one, or of none.
  bindEmitter(request, handle);
  request.prependListener('response', onResponse);
  if (handle === null || request.headersSent || request.hasHeader(CONTEXT_HEADER) || !isLoopback(request.host)) return;
  request.setHeader(CONTEXT_HEADER, handle);
}

function onResponse(this: ClientRequest, response: IncomingMessage): void {
  bindEmitter(response, currentHandle());
  // Node throws away an answer that nobody listens for, and frees its connection. It takes us for somebody.
  if (this.listenerCount('response') === 1) response.resume();
}
