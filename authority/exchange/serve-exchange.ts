/**
 * The exchange over gRPC (`behalf.authority.v1.TokenExchange`): many at once on one stream, each answered when it is done. A
 * stream that asks for more than its share is read no further until answers went out.
 */
import type * as grpc from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BehalfError, codeOf, ERROR_TABLE } from '../../errors/index.ts';
import { type Caller, type Implementation, requireCaller } from '../../identity/mtls/index.ts';
import type { ExchangeRequest, ExchangeResponse, TokenExchange } from '../../proto/behalf/authority/v1/authority.ts';
import type { Sent } from '../../proto/service.ts';
import type { Exchange, ExchangeCaller } from './exchange.ts';
import { oauthErrorOf } from './oauth-error.ts';

/** Exchanges underway on one stream. */
const MAX_UNDERWAY = 64;

/** Makes the service. */
export function serveExchange(exchange: Exchange, log: Logger): Implementation<TokenExchange> {
  return {
    exchange: (stream, caller) => answerAll(stream, exchangeCaller(caller), exchange, log),
  };
}

function exchangeCaller(caller: Caller): ExchangeCaller {
  const id = requireCaller(caller);
  if (caller.certificateS256 === null) throw new BehalfError('peer_unauthenticated', {});
  return { id, certificateS256: caller.certificateS256 };
}

function answerAll(
  stream: grpc.ServerDuplexStream<ExchangeRequest, Sent<ExchangeResponse>>,
  caller: ExchangeCaller,
  exchange: Exchange,
  log: Logger,
): void {
  let underway = 0;
  let ended = false;
  const answered = (answer: Sent<ExchangeResponse>): void => {
    underway -= 1;
    if (stream.cancelled) return;
    // A caller that does not read its answers is not read from either, until it does.
    if (stream.write(answer)) stream.resume();
    else stream.pause();
    if (ended && underway === 0) stream.end();
  };
  stream.on('data', (request: ExchangeRequest) => {
    underway += 1;
    if (underway >= MAX_UNDERWAY) stream.pause();
    void answerOne(request, caller, exchange, log).then(answered);
  });
  stream.on('drain', () => stream.resume());
  stream.on('end', () => {
    ended = true;
    if (underway === 0) stream.end();
  });
}

/** Never throws: a refusal is an answer of its own, and the stream goes on. */
async function answerOne(
  request: ExchangeRequest,
  caller: ExchangeCaller,
  exchange: Exchange,
  log: Logger,
): Promise<Sent<ExchangeResponse>> {
  try {
    return { id: request.id, issued: await exchange(request, caller) };
  } catch (error) {
    const code = codeOf(error);
    if (code === 'internal') log.error({ err: error }, 'exchange failed');
    return {
      id: request.id,
      refusal: { code, oauthError: oauthErrorOf(code), description: descriptionOf(error, code) },
    };
  }
}

function descriptionOf(error: unknown, code: keyof typeof ERROR_TABLE): string {
  const why = error instanceof BehalfError ? error.detail['why'] : undefined;
  return typeof why === 'string' ? why : ERROR_TABLE[code].meaning;
}
