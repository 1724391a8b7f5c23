/**
 * `oidc-provider`, set to OAuth 2.1: authorization code with PKCE S256 for every client, refresh tokens that rotate and whose
 * reuse ends their grant, JWT access tokens for one audience, DPoP, revocation, introspection, and nothing else. What lives
 * longer than a request rests on a consent: no grant, code or token outlasts it.
 */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import Provider, { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { DetailTypes } from '../../delegation/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { Consents } from '../consent/consents.ts';
import { isPurpose, PURPOSE_RULE } from '../consent/purpose.ts';
import type { GrantDetails } from '../details/grant-details.ts';
import type { AuthorityKeys } from '../keys/keys.ts';
import type { Accounts } from '../sign-in/accounts.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';
import type { AccessTokens, IssuedAccessToken } from './access-tokens.ts';
import { type ClientConfig, metadataOfClient } from './clients.ts';
import { detailsParameter, refuseDetailsOfToken, tellDetails } from './rich-requests.ts';

/** The entry's client may ask with a token for an hour at most; consent may end it earlier. */
export const DEFAULT_ACCESS_TOKEN_TTL_S = 3_600;
const CODE_TTL_S = 60;
const INTERACTION_TTL_S = 1_800;
const SESSION_TTL_S = 8 * 3_600;
/** Longest life that a grant may have where no consent is found for it; it is then useless, and swept. */
const ORPHAN_TTL_S = 60;

export interface ProviderDeps {
  readonly issuer: string;
  /** The one resource (RFC 8707) that access tokens are for. */
  readonly audience: string;
  readonly clients: readonly ClientConfig[];
  readonly keys: AuthorityKeys;
  readonly oauth: OAuthStore;
  readonly consents: Consents;
  readonly tokens: AccessTokens;
  readonly accounts: Accounts;
  readonly details: GrantDetails;
  /** The registered types of `authorization_details`. */
  readonly detailTypes: () => DetailTypes;
  readonly clock: Clock;
  readonly accessTokenTtlS: number;
  /** Where the mTLS listener has its token endpoint, for the metadata (RFC 8705 section 5); null where there is none. */
  readonly mtlsTokenEndpoint: string | null;
  /** Renders an error page. */
  readonly errorPage: (error: string, description: string) => string;
  /** SPIFFE ID that a TLS connection proved, or null. */
  readonly peerOf: (request: IncomingMessage) => string | null;
}

/** Makes the provider. Its `callback()` answers `/auth`, `/token`, `/token/introspection`, `/token/revocation`, `/request` and metadata. */
export function createProvider(deps: ProviderDeps): Provider {
  const provider = new Provider(deps.issuer, configurationOf(deps));
  // Behind a TLS-terminating proxy the scheme comes from `X-Forwarded-Proto`, which the front door sets from the issuer.
  provider.proxy = deps.issuer.startsWith('https:');
  tellDetails(provider, { details: deps.details, types: deps.detailTypes });
  return provider;
}

function configurationOf(deps: ProviderDeps): Configuration {
  const { audience, keys, oauth, consents, tokens, accounts, clock, accessTokenTtlS } = deps;
  const scopesOf = new Map(deps.clients.map((client) => [client.id, client.scopes]));
  const { mtlsTokenEndpoint } = deps;

  /** Seconds until the consent ends on which a grant rests; at least 1, as the library takes no less. */
  const untilConsentEnds = (grantId: string | undefined): number => {
    const consent = grantId === undefined ? null : consents.ofGrant(grantId);
    return Math.max(1, consent === null ? ORPHAN_TTL_S : consent.untilS - Math.floor(clock()));
  };

  return {
    adapter: oauth.adapter,
    clients: deps.clients.map(metadataOfClient),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    jwks: { keys: [{ ...keys.token.key.export({ format: 'jwk' }), kid: keys.token.kid, use: 'sig', alg: 'ES256' }] },
    cookies: {
      keys: [keys.secretFor('cookies')],
      long: { httpOnly: true, sameSite: 'lax', signed: true },
      short: { httpOnly: true, sameSite: 'lax', signed: true },
    },
    responseTypes: ['code'],
    scopes: ['openid'],
    subjectTypes: ['public', 'pairwise'],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'tls_client_auth'],
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: async () => false,
    // Every request asks for consent anew: what an earlier one gave is shown and changed there, never reused unseen.
    loadExistingGrant: async (ctx) => {
      const grantId = ctx.oidc.result?.consent?.grantId;
      return grantId === undefined ? undefined : await ctx.oidc.provider.Grant.find(grantId);
    },
    findAccount: async (_ctx, id) =>
      accounts.isActive(id) ? { accountId: id, claims: async () => ({ sub: id }) } : undefined,
    pairwiseIdentifier: async (_ctx, accountId, client) => accounts.pseudonymOf(accountId, `client:${client.clientId}`),
    extraParams: { purpose: checkPurpose, authorization_details: detailsParameter(deps.detailTypes) },
    extraTokenClaims: async (ctx, token) => {
      refuseDetailsOfToken(ctx);
      const consent = 'grantId' in token && token.grantId !== undefined ? consents.ofGrant(token.grantId) : null;
      return consent === null ? undefined : { consent_id: consent.id };
    },
    formats: {
      customizers: {
        jwt: (_ctx, token, { payload }) => {
          const granted = 'grantId' in token ? deps.details.of(token.grantId ?? '') : [];
          if (granted.length > 0) payload['authorization_details'] = granted;
          // INVARIANT: the record is durable before the token is signed, so that no token is out that we do not know.
          tokens.remember({ ...recordOf(token as unknown as Record<string, unknown>), ...timesOf(payload) });
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      clientCredentials: { enabled: false },
      dPoP: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId,
      },
      revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => certificateOf(ctx),
        certificateAuthorized: (ctx) => deps.peerOf(ctx.req) !== null,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_uri' && deps.peerOf(ctx.req) === expected,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => audience,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_ctx, resource, client) => {
          if (resource !== audience) throw new errors.InvalidTarget('unknown resource');
          return {
            audience,
            scope: (scopesOf.get(client.clientId) ?? []).join(' '),
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256', kid: keys.token.kid } },
          };
        },
      },
    },
    ttl: {
      AccessToken: (_ctx, token) => Math.min(accessTokenTtlS, untilConsentEnds(token.grantId)),
      AuthorizationCode: CODE_TTL_S,
      Grant: (_ctx, grant) => untilConsentEnds(grant.jti),
      IdToken: 300,
      Interaction: INTERACTION_TTL_S,
      RefreshToken: (_ctx, token) => untilConsentEnds(token.grantId),
      Session: SESSION_TTL_S,
    },
    interactions: { url: async (_ctx, interaction) => `/interaction/${interaction.uid}` },
    discovery: mtlsTokenEndpoint === null ? {} : { mtls_endpoint_aliases: { token_endpoint: mtlsTokenEndpoint } },
    clientBasedCORS: () => false,
    renderError: async (ctx, out) => {
      ctx.type = 'html';
      ctx.body = deps.errorPage(out.error, out.error_description ?? '');
    },
  };
}

function checkPurpose(_ctx: KoaContextWithOIDC, value: string | undefined): void {
  if (value !== undefined && !isPurpose(value)) throw new errors.InvalidRequest(`purpose has to be ${PURPOSE_RULE}`);
}

function certificateOf({ req }: KoaContextWithOIDC): string | undefined {
  return req.socket instanceof TLSSocket ? req.socket.getPeerX509Certificate()?.toString() : undefined;
}

/** Members of the library's access token that its record keeps. */
const RECORD_MEMBERS = [
  'accountId',
  'clientId',
  'grantId',
  'gty',
  'aud',
  'scope',
  'extra',
  'sid',
  'sessionUid',
  'jkt',
  'x5t#S256',
];

function recordOf(token: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(RECORD_MEMBERS.map((name) => [name, token[name]]));
}

function timesOf(payload: Record<string, unknown>): Pick<IssuedAccessToken, 'jti' | 'iat' | 'exp'> {
  return { jti: String(payload['jti']), iat: Number(payload['iat']), exp: Number(payload['exp']) };
}
