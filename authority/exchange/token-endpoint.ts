/**
 * The exchange at HTTP `/token` (RFC 8693), for workloads without a gRPC client. They authenticate by their SVID on the mTLS
 * listener (RFC 8705); on the listener for browsers no client can use this grant, since none can authenticate so.
 */
import type Provider from 'oidc-provider';
import { errors, type TokenEndpointGrantContext } from 'oidc-provider';
import type { Logger } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { type Clock, parseSpiffeId } from '../../identity/index.ts';
import { TOKEN_EXCHANGE_GRANT } from '../oauth/clients.ts';
import { ACCESS_TOKEN_TYPE, type Exchange, TXN_TOKEN_TYPE } from './exchange.ts';
import type { ExitTokens } from './exit-token.ts';
import { oauthErrorOf } from './oauth-error.ts';

const PARAMETERS = [
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'audience',
  'scope',
  'authorization_details',
  'purpose',
  'dpop_proof',
  'dpop_method',
  'dpop_uri',
  'own_to',
  'client_certificate_s256',
  'delegation_chain',
  'delegation_credentials',
] as const;

type ExchangeParams = { [K in (typeof PARAMETERS)[number]]?: string };

export interface TokenEndpointDeps {
  readonly provider: Provider;
  readonly exchange: Exchange;
  readonly exitTokens: ExitTokens;
  /** `x5t#S256` of the certificate that the connection proved. */
  readonly certificateOf: (request: TokenEndpointGrantContext['req']) => string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Registers the grant type. */
export function registerTokenExchange({
  provider,
  exchange,
  exitTokens,
  certificateOf,
  clock,
  log,
}: TokenEndpointDeps): void {
  provider.registerGrantType<ExchangeParams>(
    TOKEN_EXCHANGE_GRANT,
    async (ctx) => {
      const { params, client } = ctx.oidc;
      try {
        const certificateS256 = certificateOf(ctx.req);
        if (certificateS256 === null) throw new BehalfError('peer_unauthenticated', {});
        const caller = { id: parseSpiffeId(client.clientId), certificateS256 };
        const audience = params.audience ?? '';
        if (params.requested_token_type === ACCESS_TOKEN_TYPE) {
          const issued = await exitTokens(
            {
              subjectToken: params.subject_token ?? '',
              subjectTokenType: params.subject_token_type ?? '',
              delegationChain: params.delegation_chain ?? '',
              delegationCredentials: params.delegation_credentials ?? '',
              audience,
              scope: params.scope ?? '',
            },
            caller,
          );
          ctx.body = {
            access_token: issued.accessToken,
            issued_token_type: ACCESS_TOKEN_TYPE,
            token_type: 'Bearer',
            expires_in: issued.expiresS - Math.floor(clock()),
            scope: issued.scope,
          };
          return;
        }
        if (params.requested_token_type !== undefined && params.requested_token_type !== TXN_TOKEN_TYPE) {
          throw new BehalfError('request_malformed', {
            why: `requested_token_type has to be ${TXN_TOKEN_TYPE}, or ${ACCESS_TOKEN_TYPE} for an audience outside`,
          });
        }
        const issued = await exchange(
          {
            subjectToken: params.subject_token ?? '',
            subjectTokenType: params.subject_token_type ?? '',
            scope: params.scope ?? '',
            authorizationDetails: params.authorization_details ?? '',
            purpose: params.purpose ?? '',
            dpopProof: params.dpop_proof ?? '',
            dpopMethod: params.dpop_method ?? '',
            dpopUri: params.dpop_uri ?? '',
            ownTo: params.own_to ?? '',
            clientCertificateS256: params.client_certificate_s256 ?? '',
          },
          caller,
        );
        ctx.body = {
          access_token: issued.txnToken,
          issued_token_type: TXN_TOKEN_TYPE,
          token_type: 'N_A',
          expires_in: issued.expiresS - Math.floor(clock()),
          scope: issued.scope,
          ...(issued.details.length === 0 ? {} : { authorization_details: issued.details }),
        };
      } catch (error) {
        const code = codeOf(error);
        if (code === 'internal') log.error({ err: error }, 'exchange failed');
        throw new errors.CustomOIDCProviderError(oauthErrorOf(code), code);
      }
    },
    [...PARAMETERS],
  );
}
