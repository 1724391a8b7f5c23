/**
 * The port where the app asks its sidecar (DESIGN section 4): `GET /delegation`, AuthZEN's `POST /access/v1/evaluation` and
 * `POST /delegations/deferred`, each with the `Delegation-Context` of the request that they are about. Plain HTTP on loopback, for processes of the app's
 * own uid only; low traffic, so that Node's own server does.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Reporter } from '../../audit/report/index.ts';
import { BehalfError, PROBLEM_CONTENT_TYPE, problemBody, problemOf } from '../../errors/index.ts';
import { type SpiffeId, systemClock } from '../../identity/index.ts';
import type { ContextWay } from '../../policy/index.ts';
import type { StateView } from '../../state/index.ts';
import type { ContextTable } from '../call/context/context.ts';
import type { InboundContext } from '../call/context/inbound-context.ts';
import type { HeaderList } from '../call/head.ts';
import type { ConnectionRefusal } from '../call/seam.ts';
import { createUidGuard } from '../listen/uid-guard.ts';
import { listenAt } from '../wire/address.ts';
import { cancelWork, type DeferredWorkDeps, deferWork, listWork } from './deferred-work.ts';
import { delegationView } from './delegation-view.ts';
import { type EvaluationDeps, evaluate } from './evaluate.ts';

export interface LocalApiOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  readonly contexts: Pick<ContextTable, 'resolve'>;
  readonly state: Pick<StateView, 'snapshot' | 'checkFresh'>;
  readonly service: SpiffeId;
  readonly deferredWork: DeferredWorkDeps;
  readonly reporter: Pick<Reporter, 'record'>;
  /** Puts a refused connection on record. @throws BehalfError `audit_unavailable` */
  onRefused(refused: ConnectionRefusal): Promise<void>;
  /** Only processes of this uid are answered; null answers any, and says so at start. */
  readonly allowedUid: number | null;
  readonly log: Logger;
  /** Aborting it closes the port. */
  readonly signal: AbortSignal;
  readonly nowS?: () => number;
}

export interface LocalApi {
  /** The address taken, `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Resources are described in a few lines; more is refused. */
const MAX_BODY_BYTES = 65_536;
const MAX_HEAD_BYTES = 16_384;
/** Connections at once; further ones are closed unanswered. */
const MAX_CONNECTIONS = 1_024;
const DEFERRED_ID = /^DELETE \/delegations\/deferred\/(d:[\w-]{22})$/;
/** Longest wait for a whole request. */
const REQUEST_TIMEOUT_MS = 10_000;

/** What a request is answered with. */
interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/**
 * Starts to listen.
 * @throws {BehalfError} `port_in_use`, `config_invalid`
 */
export async function startLocalApi(options: LocalApiOptions): Promise<LocalApi> {
  const { contexts, state, service, reporter, deferredWork, allowedUid, log, signal } = options;
  const guard = createUidGuard({ allowedUid, log });
  const deps: EvaluationDeps = { service, state, reporter, nowS: options.nowS ?? systemClock };
  const admitted = new WeakMap<Socket, boolean>();
  let address = '';

  const server = createServer({ maxHeaderSize: MAX_HEAD_BYTES }, (request, response) => {
    void answer(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let inbound: InboundContext | null = null;
    try {
      await admit(request.socket);
      const route = `${request.method} ${request.url?.split('?', 1)[0]}`;
      switch (route) {
        case 'GET /delegation':
          inbound = contextOf(request);
          return send(response, jsonAnswer(delegationView(inbound)));
        case 'POST /access/v1/evaluation': {
          const body = await readBody(request);
          // Not before: a body may take its time, and what is withdrawn meanwhile must count.
          inbound = contextOf(request);
          return send(response, jsonAnswer(await evaluate(deps, inbound, body)), requestIdOf(request));
        }
        case 'GET /.well-known/authzen-configuration':
          return send(response, jsonAnswer(authzenMetadata(address)));
        case 'POST /delegations/deferred': {
          const body = await readBody(request);
          inbound = contextOf(request, 'context');
          return send(response, jsonAnswer(await deferWork(deferredWork, inbound, body), 201));
        }
        case 'GET /delegations/deferred':
          return send(response, jsonAnswer(await listWork(deferredWork)));
        default: {
          const id = DEFERRED_ID.exec(route)?.[1];
          if (id !== undefined) return send(response, jsonAnswer(await cancelWork(deferredWork, id)));
          throw new BehalfError('not_found', { why: 'no such endpoint' });
        }
      }
    } catch (error) {
      send(response, refusal(error, inbound), requestIdOf(request));
    }
  }

  /** @throws {BehalfError} `local_peer_refused` */
  async function admit(socket: Socket): Promise<void> {
    // Once a connection, and not before it carries a request: the kernel's table may lag behind `accept`.
    let allowed = admitted.get(socket);
    if (allowed === undefined) {
      allowed = guard.admit(socket);
      admitted.set(socket, allowed);
      if (!allowed) await recordRefusal(socket);
    }
    if (!allowed) throw new BehalfError('local_peer_refused');
  }

  function recordRefusal(socket: Socket): Promise<void> {
    const error = new BehalfError('local_peer_refused', { rule: 'uid' });
    return options.onRefused({
      listener: 'local',
      error,
      address: socket.remoteAddress ?? '',
      peer: '',
      peerSerialHex: '',
    });
  }

  /** @throws {BehalfError} `delegation_missing`, and what `ContextTable.resolve` throws */
  /**
   * INVARIANT: work that is taken up later names no request, so that no edge asks any more how the app named it (`minContext`). What
   * is put off therefore has to be named in the strongest way.
   */
  function contextOf(request: IncomingMessage, least: ContextWay | null = null): InboundContext {
    const found = contexts.resolve(headerListOf(request));
    if (found === null) throw new BehalfError('delegation_missing', { why: 'no Delegation-Context' });
    if (least !== null && found.carrier !== least)
      throw new BehalfError('context_too_weak', { way: found.carrier, least });
    return found.inbound;
  }

  function refusal(thrown: unknown, inbound: InboundContext | null): Answer {
    if (!(thrown instanceof BehalfError) || thrown.code === 'internal') log.error({ err: thrown }, 'local api failed');
    const error = thrown instanceof BehalfError ? thrown : new BehalfError('internal');
    const hop = inbound === null ? null : inbound.hopId.toString('base64url');
    const { status } = problemOf(error, hop);
    return { status, contentType: PROBLEM_CONTENT_TYPE, body: problemBody(error, hop) };
  }

  const close = (): Promise<void> => {
    signal.removeEventListener('abort', close);
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  };
  address = await listenAt(server, options.listen);
  signal.addEventListener('abort', close);
  return { address, close };
}

function headerListOf({ rawHeaders }: IncomingMessage): HeaderList {
  return rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
}

/** @throws {BehalfError} `request_malformed` */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') throw new BehalfError('request_malformed', { member: 'content-type' });
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES)
      throw new BehalfError('request_malformed', { member: 'body', maxBytes: MAX_BODY_BYTES });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

/** AuthZEN section 10.1.3: given back as it came. */
function requestIdOf({ headers }: IncomingMessage): string | null {
  const id = headers['x-request-id'];
  return typeof id === 'string' && id.length <= 128 ? id : null;
}

/** AuthZEN section 9.1: where what is; here only ourselves. */
function authzenMetadata(address: string): object {
  const origin = `http://${address}`;
  return { policy_decision_point: origin, access_evaluation_endpoint: `${origin}/access/v1/evaluation` };
}

function jsonAnswer(value: object, status = 200): Answer {
  return { status, contentType: 'application/json', body: Buffer.from(`${JSON.stringify(value)}\n`, 'utf8') };
}

function send(response: ServerResponse, { status, contentType, body }: Answer, requestId: string | null = null): void {
  if (requestId !== null) response.setHeader('x-request-id', requestId);
  // A refused body is not read to its end: the connection goes instead.
  if (!response.req.complete) response.setHeader('connection', 'close');
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
  });
  response.end(body);
}
