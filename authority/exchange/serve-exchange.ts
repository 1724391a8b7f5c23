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
import type { ExitTokens } from './exit-token.ts';
import { oauthErrorOf } from './oauth-error.ts';

/** Exchanges underway on one stream. */
const MAX_UNDERWAY = 64;

/** What a request may be for: a root, or a token for an audience outside. */
export interface Exchanges {
  readonly exchange: Exchange;
  readonly exitTokens: ExitTokens;
}

/** Makes the service. */
export function serveExchange(exchanges: Exchanges, log: Logger): Implementation<TokenExchange> {
  return {
    exchange: (stream, caller) => answerAll(stream, exchangeCaller(caller), exchanges, log),
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
  exchanges: Exchanges,
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
    void answerOne(request, caller, exchanges, log).then(answered);
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
  exchanges: Exchanges,
  log: Logger,
): Promise<Sent<ExchangeResponse>> {
  try {
    if (request.audience !== '') {
      const issued = await exchanges.exitTokens(request, caller);
      return { id: request.id, issued: { ...issued, txnToken: '' } };
    }
    const issued = await exchanges.exchange(request, caller);
    return { id: request.id, issued: { ...issued, accessToken: '', jti: '' } };
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
