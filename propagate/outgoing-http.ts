/**
 * Outgoing requests of `node:http` and `node:https`, whichever library makes them. One whose headers are given as an array
 * is complete before it can be touched: it stays as it is, and the app copies the header itself.
 */
import { subscribe } from 'node:diagnostics_channel';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import { bindEmitter, CONTEXT_HEADER, currentHandle, isSidecar } from './context.ts';
import { nodeUsesProxy } from './proxies.ts';

/** What `Agent.addRequest` is told, in which every default is in place. */
interface Target {
  readonly host?: unknown;
  readonly port?: unknown;
  readonly socketPath?: unknown;
}

interface AgentInside {
  addRequest(request: ClientRequest, target: Target, ...more: unknown[]): void;
}

const forSidecar = new WeakSet<ClientRequest>();

/**
 * Copies the handle onto each request that the process makes to the sidecar from now on. Where a request really goes its agent
 * alone is told; one that has none of Node's, or that brings a connection of its own, is left as it is.
 */
export function copyOntoHttpRequests(): void {
  const agent = http.Agent.prototype as unknown as AgentInside;
  const { addRequest } = agent;
  agent.addRequest = function addAndNote(this: AgentInside, ...given: Parameters<typeof addRequest>): void {
    const [request, target] = given;
    if (leadsToSidecar(target)) forSidecar.add(request);
    Reflect.apply(addRequest, this, given);
  };
  // Published by the constructor, so within the code that makes the request, before any queue of an agent.
  subscribe('http.client.request.created', onRequestCreated);
}

function onRequestCreated(message: unknown): void {
  const { request } = message as { request: ClientRequest };
  const handle = currentHandle();
  // A kept-alive connection belongs to many requests: what it reports is heard as work of the right one, or of none.
  bindEmitter(request, handle);
  request.prependListener('response', onResponse);
  if (handle === null || request.headersSent || request.hasHeader(CONTEXT_HEADER) || !forSidecar.has(request)) return;
  request.setHeader(CONTEXT_HEADER, handle);
}

function leadsToSidecar({ host, port, socketPath }: Target): boolean {
  return typeof host === 'string' && socketPath == null && isSidecar(host, Number(port)) && !nodeUsesProxy(host);
}

function onResponse(this: ClientRequest, response: IncomingMessage): void {
  bindEmitter(response, currentHandle());
  // Node throws away an answer that nobody listens for, and frees its connection. It takes us for somebody.
  if (this.listenerCount('response') === 1) response.resume();
}
