/**
 * A client that goes through the real authorization code flow as a browser would: redirects, cookies, the sign-in and consent
 * forms, PKCE (RFC 7636) and `state`. For the command line, development and tests: an application never sees a password.
 */
import { hash, randomBytes } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { type Browser, openBrowser, type Page, send } from './browser.ts';

/** What to ask for, and what the user answers. */
export interface ObtainTokens {
  readonly issuer: string;
  readonly clientId: string;
  readonly redirectUri: string;
  readonly account: string;
  readonly password: string;
  /** Asked for. */
  readonly scopes: readonly string[];
  /** Ticked on the consent page; all that is asked where absent. */
  readonly grantOnly?: readonly string[];
  /** `authorization_details` to ask for (RFC 9396), as JSON text. */
  readonly details?: string;
  /** Whether they are ticked on the consent page; they are where absent. */
  readonly tickDetails?: boolean;
  readonly purpose: string;
  /** Whether work that the client puts off is ticked, where the page asks. */
  readonly deferrable?: boolean;
  /** How long the consent lasts, in seconds. */
  readonly durationS: number;
  /** Makes a DPoP proof (RFC 9449) for a request; the tokens are then bound to its key. */
  readonly proof?: MakeProof;
  /** Whose cookies are used; a browser of its own where absent. */
  readonly browser?: Browser;
  /** OpenID Connect's `prompt`, such as `login`. */
  readonly prompt?: string;
}

export type MakeProof = (method: string, url: string) => Promise<string>;

export interface ObtainedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Life of the access token in seconds. */
  readonly expiresIn: number;
  readonly consentId: string;
  /** What was granted. */
  readonly scopes: readonly string[];
}

/** Redirects followed at most. */
const MAX_STEPS = 12;

/**
 * Signs in, consents and exchanges the code.
 * @throws {BehalfError} `rate_limited`; `entry_token_invalid` with the answer's `error` where the authority refuses;
 *   `upstream_unavailable` where it cannot be reached
 */
export async function obtainTokens(ask: ObtainTokens): Promise<ObtainedTokens> {
  const browser = ask.browser ?? openBrowser(ask.issuer);
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const redirected = await authorize(browser, ask, verifier, state);
  if (redirected.searchParams.get('state') !== state) throw refusal('state', 'the answer is not to this request');
  if (redirected.searchParams.get('iss') !== ask.issuer) throw refusal('iss', 'the answer is not from this issuer');
  const code = redirected.searchParams.get('code');
  if (code === null) {
    throw refusal(
      redirected.searchParams.get('error') ?? 'no code',
      redirected.searchParams.get('error_description') ?? '',
    );
  }
  const { issuer, clientId, redirectUri, proof } = ask;
  const fields = {
    grant_type: 'authorization_code',
    client_id: clientId,
    redirect_uri: redirectUri,
    code,
    code_verifier: verifier,
  };
  return tokensOf(await postToken(issuer, fields, proof));
}

/** What a refresh needs. */
export interface RefreshTokens {
  readonly issuer: string;
  readonly clientId: string;
  readonly refreshToken: string;
  readonly proof?: MakeProof;
}

/** Exchanges a refresh token; the one given is used up. @throws {BehalfError} as `obtainTokens` */
export async function refreshTokens({ issuer, clientId, refreshToken, proof }: RefreshTokens): Promise<ObtainedTokens> {
  const fields = { grant_type: 'refresh_token', client_id: clientId, refresh_token: refreshToken };
  return tokensOf(await postToken(issuer, fields, proof));
}

/** Walks from the authorization request to the redirect out of the issuer. */
async function authorize(browser: Browser, ask: ObtainTokens, verifier: string, state: string): Promise<URL> {
  const { issuer, clientId, redirectUri, scopes, purpose, prompt, details } = ask;
  const start = new URL('/auth', issuer);
  start.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: scopes.join(' '),
    code_challenge: hash('sha256', verifier, 'base64url'),
    code_challenge_method: 'S256',
    state,
    ...(purpose === '' ? {} : { purpose }),
    ...(details === undefined ? {} : { authorization_details: details }),
    ...(prompt === undefined ? {} : { prompt }),
  }).toString();

  let page = await browser.get(start);
  for (let step = 0; step < MAX_STEPS; step++) {
    if (page.location !== null) {
      if (page.location.href.startsWith(redirectUri)) return page.location;
      page = await browser.get(page.location);
    } else if (page.status !== 200) {
      throw pageRefusal(page);
    } else {
      page = await fillForm(browser, page, ask);
    }
  }
  throw refusal('loop', 'the flow does not come to an end');
}

/** Fills whichever of the two forms the page has. */
async function fillForm(
  browser: Browser,
  page: Page,
  { account, password, scopes, grantOnly, durationS, deferrable, tickDetails = true }: ObtainTokens,
): Promise<Page> {
  const action = page.formAction();
  const csrf = page.hiddenField('csrf');
  if (action === null || csrf === null) throw pageRefusal(page);
  if (action.pathname.endsWith('/sign-in'))
    return await browser.post(action, [
      ['csrf', csrf],
      ['account', account],
      ['password', password],
    ]);
  return await browser.post(action, [
    ['csrf', csrf],
    ['decision', 'allow'],
    ['duration_s', String(durationS)],
    ...(deferrable === true ? [['deferrable', 'yes'] as [string, string]] : []),
    ...(grantOnly ?? scopes).map((scope): [string, string] => ['scope', scope]),
    ...(tickDetails ? page.checkboxes('detail') : []).map((value): [string, string] => ['detail', value]),
  ]);
}

/** The client's own request, beside the user's browser. */
async function postToken(
  issuer: string,
  fields: Record<string, string>,
  proof?: MakeProof,
): Promise<Record<string, unknown>> {
  const url = new URL('/token', issuer);
  const headers = proof === undefined ? {} : { dpop: await proof('POST', url.href) };
  const { status, text } = await send(url, new URLSearchParams(fields), headers);
  const answer = JSON.parse(text) as Record<string, unknown>;
  if (status !== 200) throw refusal(String(answer['error']), String(answer['error_description'] ?? ''));
  return answer;
}

function tokensOf(answer: Record<string, unknown>): ObtainedTokens {
  const accessToken = String(answer['access_token']);
  // A client of its own authority may look: the consent's id is ours to show, and nothing is decided by it.
  const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString('utf8')) as Record<
    string,
    unknown
  >;
  return {
    accessToken,
    refreshToken: String(answer['refresh_token']),
    expiresIn: Number(answer['expires_in']),
    consentId: String(claims['consent_id']),
    scopes: String(answer['scope'] ?? '')
      .split(' ')
      .filter(Boolean),
  };
}

function pageRefusal(page: Page): BehalfError {
  if (page.status === 429) return new BehalfError('rate_limited', { what: 'sign-in', retryAfterS: page.retryAfterS });
  return refusal(`HTTP ${page.status}`, page.problem() ?? '');
}

function refusal(error: string, why: string): BehalfError {
  return new BehalfError('entry_token_invalid', { error: error.slice(0, 80), why: why.slice(0, 200) });
}
