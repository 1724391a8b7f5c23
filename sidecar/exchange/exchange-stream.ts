/**
 * Token exchange at the authority (`behalf/authority/v1`, RFC 8693): many at once on one stream, joined by id. The stream is
 * opened when it is needed and again when it ended; what was asked on a broken one is asked once more. After a renewal a new
 * one is opened, as the authority takes a WIT only over a connection of the certificate that it is bound to.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, isErrorCode } from '../../errors/index.ts';
import { errorOfCall, type ServiceClient } from '../../identity/mtls/index.ts';
import type {
  ExchangeRequest,
  ExchangeResponse,
  Issued,
  TokenExchange,
} from '../../proto/behalf/authority/v1/authority.ts';
import type { Sent } from '../../proto/service.ts';

/** Exchanges waiting at once; the answer beyond it is `overloaded`. */
const MAX_PENDING = 1_024;
const ANSWER_WITHIN_MS = 5_000;
const SWEEP_MS = 500;
const DEFERRED = 'urn:behalf:params:oauth:token-type:deferred';
const MAX_TRIES = 2;

export type ExchangeOrder = Sent<Omit<ExchangeRequest, 'id'>>;

export interface ExchangeStream {
  /**
   * Gives the root (Transaction Token) in compact form.
   * @throws {BehalfError} the authority's own codes, `upstream_unavailable`, `upstream_timeout`, `overloaded`
   */
  exchange(order: ExchangeOrder): Promise<string>;
  /**
   * Gives a token for the audience outside that the order names.
   * @throws {BehalfError} as `exchange`
   */
  exchangeOut(order: ExchangeOrder): Promise<Issued>;
  /** New exchanges take a new stream; what was asked on the old one is still answered there. */
  renew(): void;
  close(): void;
}

interface Pending {
  readonly order: ExchangeOrder;
  readonly askedMs: number;
  tries: number;
  on: Stream | null;
  resolve(issued: Issued): void;
  reject(error: BehalfError): void;
}

type Stream = ClientDuplexStream<Sent<ExchangeRequest>, ExchangeResponse>;

export function openExchangeStream(client: ServiceClient<TokenExchange>, log: Logger): ExchangeStream {
  const pending = new Map<number, Pending>();
  let stream: Stream | null = null;
  let nextId = 1;
  let closed = false;

  function current(): Stream {
    if (stream !== null) return stream;
    const opened = client.exchange();
    stream = opened;
    opened.on('data', onAnswer);
    opened.on('error', (error) => onBroken(opened, errorOfCall(error)));
    opened.on('end', () =>
      onBroken(opened, new BehalfError('upstream_unavailable', { to: 'authority', why: 'stream ended' })),
    );
    return opened;
  }

  function ask(waiting: Pending): void {
    waiting.tries += 1;
    const id = nextId;
    nextId += 1;
    pending.set(id, waiting);
    waiting.on = current();
    waiting.on.write({ ...waiting.order, id });
  }

  function onAnswer({ id, issued, refusal }: ExchangeResponse): void {
    const waiting = pending.get(id);
    if (waiting === undefined) return;
    pending.delete(id);
    if (issued) waiting.resolve(issued);
    else waiting.reject(refusalError(refusal?.code ?? '', refusal?.oauthError ?? ''));
  }

  function onBroken(broken: Stream, error: BehalfError): void {
    if (stream === broken) stream = null;
    const orphans: Pending[] = [];
    for (const [id, waiting] of pending) {
      if (waiting.on !== broken) continue;
      pending.delete(id);
      orphans.push(waiting);
    }
    if (orphans.length > 0) log.info({ err: error, waiting: orphans.length }, 'exchange stream broke off');
    for (const waiting of orphans) {
      // Minting again is harmless: the root of the lost answer is never used. But what it reserved would be reserved twice, and a use
      // of deferred work be taken twice.
      const { authorizationDetails = '', subjectTokenType } = waiting.order;
      const reserves = authorizationDetails !== '' || subjectTokenType === DEFERRED;
      if (waiting.tries < MAX_TRIES && !closed && !reserves) ask(waiting);
      else waiting.reject(new BehalfError('upstream_unavailable', { to: 'authority', why: error.code }));
    }
  }

  /** Ids grow, so that the map's order is the order of asking. */
  function sweep(): void {
    const before = performance.now() - ANSWER_WITHIN_MS;
    for (const [id, waiting] of pending) {
      if (waiting.askedMs > before) continue;
      pending.delete(id);
      waiting.reject(new BehalfError('upstream_timeout', { to: 'authority', afterMs: ANSWER_WITHIN_MS }));
    }
  }
  const sweeper = setInterval(sweep, SWEEP_MS);
  sweeper.unref();

  function issuedFor(order: ExchangeOrder): Promise<Issued> {
    if (pending.size >= MAX_PENDING) return Promise.reject(new BehalfError('overloaded', { waiting: pending.size }));
    return new Promise((resolve, reject) =>
      ask({ order, askedMs: performance.now(), tries: 0, on: null, resolve, reject }),
    );
  }

  return {
    exchange: async (order) => (await issuedFor(order)).txnToken,
    exchangeOut: issuedFor,
    renew() {
      stream?.end();
      stream = null;
    },
    close() {
      closed = true;
      clearInterval(sweeper);
      stream?.cancel();
      for (const waiting of pending.values())
        waiting.reject(new BehalfError('upstream_unavailable', { to: 'authority', why: 'closed' }));
      pending.clear();
    },
  };
}

function refusalError(code: string, oauthError: string): BehalfError {
  return isErrorCode(code)
    ? new BehalfError(code, { by: 'authority' })
    : new BehalfError('internal', { by: 'authority', oauthError });
}
