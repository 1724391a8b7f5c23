/**
 * The first function that sees an HTTP request: security headers, our own pages, the key set, and for all else the OAuth
 * library. One catch, which answers what nobody foresaw with 500 and no detail.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import type { Logger } from 'pino';
import { BehalfError, PROBLEM_CONTENT_TYPE, problemBody } from '../../errors/index.ts';
import type { AuthorityKeys } from '../keys/keys.ts';
import type { AccessTokens } from '../oauth/access-tokens.ts';
import { withRecordId } from '../oauth/token-parameter.ts';
import { type Pages, setSecurityHeaders } from '../pages/index.ts';

export interface FrontDoorDeps {
  readonly provider: Provider;
  readonly pages: Pages;
  readonly tokens: AccessTokens;
  readonly keys: AuthorityKeys;
  readonly issuer: URL;
  readonly secure: boolean;
  readonly log: Logger;
}

/** Endpoints that take a token as a form field. */
const TOKEN_ENDPOINTS: ReadonlySet<string> = new Set(['/token/introspection', '/token/revocation']);
/** Caches may hold the key set this long; new keys are published well before their first use. */
const JWKS_MAX_AGE_S = 60;

/** Makes the listener for browsers and OAuth clients. */
export function createFrontDoor(deps: FrontDoorDeps): RequestListener {
  const oauth = deps.provider.callback();
  const { keys } = deps;
  // Anew each time: root keys follow one another.
  const jwks = (): string => JSON.stringify({ keys: [keys.token.publicJwk, ...keys.rootJwks] });

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    takeAsOurs(request, deps.issuer);
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    setSecurityHeaders(response, deps.secure, null);
    if (path === '/jwks' && request.method === 'GET') {
      const headers = {
        'Content-Type': 'application/jwk-set+json',
        'Cache-Control': `public, max-age=${JWKS_MAX_AGE_S}`,
      };
      response.writeHead(200, headers).end(jwks());
      return;
    }
    if (await deps.pages(request, response, path)) return;
    const form = request.method === 'POST' && TOKEN_ENDPOINTS.has(path);
    await oauth(form ? await withRecordId(request, deps.tokens) : request, response);
  };

  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!(error instanceof BehalfError)) deps.log.error({ err: error }, 'an HTTP request failed');
      sendProblem(response, error instanceof BehalfError ? error : new BehalfError('internal'));
    });
  };
}

/**
 * The library makes URLs of the metadata, the `htu` that a DPoP proof must name (RFC 9449 section 4.3) and the `Secure` of its
 * cookies from what a request says of itself. UNTRUSTED: so it is told what we know instead. Else a proof made for another
 * site would do here, under that site's name as `Host`.
 * @throws {BehalfError} `request_malformed` for a target in absolute form, which names a host too
 */
function takeAsOurs(request: IncomingMessage, issuer: URL): void {
  if (request.url?.startsWith('/') !== true)
    throw new BehalfError('request_malformed', { why: 'the request target is not a path' });
  request.headers.host = issuer.host;
  delete request.headers['x-forwarded-host'];
  request.headers['x-forwarded-proto'] = issuer.protocol.slice(0, -1);
}

function sendProblem(response: ServerResponse, error: BehalfError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = problemBody(error, null);
  response.writeHead(error.code === 'internal' ? 500 : 400, { 'Content-Type': PROBLEM_CONTENT_TYPE }).end(body);
}
