/**
 * An access token of another issuer, as its configuration says that they are: signature by the issuer's published keys, `iss`, `aud`,
 * times, type, algorithm (RFC 9068 section 4, RFC 8725), then its claims in our words. Owns the fetching of keys; what the
 * user consented to is `upstream-tokens.ts`.
 */
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey, errors as joseErrors, jwtVerify } from 'jose';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import { isLoopbackUrl } from '../oauth/clients.ts';
import type { UpstreamIssuerConfig } from './config.ts';

/** Longest life of a token: so long its end is remembered where it was ended early. */
const MAX_UPSTREAM_LIFE_S = 86_400;

const DEFAULT_ALGORITHMS = ['ES256', 'EdDSA', 'PS256', 'RS256'];
const FETCH_TIMEOUT_MS = 3_000;
/** Keys are fetched anew for an unknown `kid`, at most this often; UNTRUSTED: anyone may name one. */
const FETCH_EVERY_MS = 30_000;
const KEYS_KEPT_MS = 600_000;
const MAX_DOCUMENT_BYTES = 262_144;
const MAX_SUBJECT_LENGTH = 255;
/** What nobody sees where the name is shown; and halves of characters, which our database does not tell apart. */
const UNSEEN = /\p{C}/u;
/** Leeway for their clock. */
export const TOLERANCE_S = 5;

/** What a token says, in the mesh's words. */
export interface UpstreamToken {
  readonly subject: string;
  /** As the issuer calls it. */
  readonly client: string;
  readonly scopes: readonly string[];
  readonly iatS: number;
  readonly expS: number;
  readonly keyThumbprint: string | null;
  readonly certificateS256: string | null;
}

/**
 * Reads tokens of one issuer.
 * @throws {BehalfError} `entry_token_invalid`, `entry_token_expired`, `trust_unavailable` where its keys cannot be had
 */
export type UpstreamReader = (compact: string) => Promise<UpstreamToken>;

/** Makes the reader. Nothing is fetched before a token comes. @throws {BehalfError} `config_invalid` */
export function createUpstreamReader(config: UpstreamIssuerConfig, clock: Clock): UpstreamReader {
  const { issuer, audience, jwksUri, tokenType = 'at+jwt', algorithms = DEFAULT_ALGORITHMS } = config;
  for (const url of [issuer, jwksUri ?? issuer]) {
    if (!isUsableUrl(url))
      throw new BehalfError('config_invalid', { url: url.slice(0, 200), why: 'neither https nor on loopback' });
  }
  // OpenID Connect Discovery section 3. A `#` parts the issuer from the subject in the names of its users.
  if (/[?#]/.test(issuer))
    throw new BehalfError('config_invalid', { issuer: issuer.slice(0, 200), why: 'has a query or a fragment' });
  let keys: Promise<JWTVerifyGetKey> | null = null;
  let failedMs = Number.NEGATIVE_INFINITY;

  /** Where its keys are is found out once, and tried again after a while where that failed. */
  function keySet(): Promise<JWTVerifyGetKey> {
    if (keys !== null) return keys;
    if (performance.now() - failedMs < FETCH_TIMEOUT_MS)
      return Promise.reject(new BehalfError('trust_unavailable', { issuer, why: 'its keys cannot be had' }));
    const opened = (jwksUri === undefined ? discover(issuer) : Promise.resolve(jwksUri)).then((uri) =>
      createRemoteJWKSet(new URL(uri), {
        timeoutDuration: FETCH_TIMEOUT_MS,
        cooldownDuration: FETCH_EVERY_MS,
        cacheMaxAge: KEYS_KEPT_MS,
        [customFetch]: fetchKeys,
      }),
    );
    keys = opened;
    opened.catch(() => {
      keys = null;
      failedMs = performance.now();
    });
    return opened;
  }

  /** The library waits between fetches that succeed alone; one that fails is not tried again at once either. */
  async function fetchKeys(url: string, options: RequestInit): Promise<Response> {
    if (performance.now() - failedMs < FETCH_TIMEOUT_MS) throw new Error('fetched in vain a moment ago');
    failedMs = performance.now();
    const response = await boundedFetch(url, options);
    if (response.status === 200) failedMs = Number.NEGATIVE_INFINITY;
    return response;
  }

  return async (compact) => {
    try {
      const key = await keySet();
      const { payload, protectedHeader } = await jwtVerify(compact, key, {
        algorithms: [...algorithms],
        issuer,
        audience,
        requiredClaims: ['exp', 'iat'],
        currentDate: new Date(clock() * 1000),
        clockTolerance: TOLERANCE_S,
        maxTokenAge: MAX_UPSTREAM_LIFE_S,
        ...(tokenType === 'at+jwt' ? { typ: 'at+jwt' } : {}),
      });
      if (tokenType !== 'at+jwt' && !isPlainType(protectedHeader.typ)) throw invalid('of another type');
      return readClaims(config, payload);
    } catch (cause) {
      throw refusalFor(issuer, cause);
    }
  };
}

function readClaims(
  { claims = {}, tokenType = 'at+jwt' }: UpstreamIssuerConfig,
  payload: Readonly<Record<string, unknown>>,
): UpstreamToken {
  const { subject: subjectClaim = 'sub', scopes: scopesClaim = 'scope', scopeMap } = claims;
  const subject = payload[subjectClaim];
  if (
    typeof subject !== 'string' ||
    !(subject.length > 0 && subject.length <= MAX_SUBJECT_LENGTH) ||
    UNSEEN.test(subject)
  )
    throw invalid('names no user');
  const client = claims.client === undefined ? (payload['client_id'] ?? payload['azp']) : payload[claims.client];
  if (typeof client !== 'string' || client === '') throw invalid('names no client');
  if (tokenType !== 'id_token') {
    // OpenID Connect Core section 2: what only ID tokens have. They tell a client who the user is, and let nobody do anything.
    for (const name of ['nonce', 'at_hash', 'c_hash']) if (payload[name] !== undefined) throw invalid('an ID token');
    // Where a type says what it is, its client may be one of several audiences.
    const aud = [payload['aud']].flat();
    if (tokenType === 'JWT' ? aud.includes(client) : aud.every((name) => name === client))
      throw invalid('made for its client');
  }
  // NumericDates may have fractions; roots have none.
  const [iat, exp] = [payload['iat'], payload['exp']].map((time) => Math.floor(Number(time))) as [number, number];
  if (!(exp - iat > 0 && exp - iat <= MAX_UPSTREAM_LIFE_S)) throw invalid('lives too long');
  const granted = scopesOf(payload[scopesClaim]);
  const scopes = scopeMap === undefined ? granted : granted.flatMap((name) => ownOf(scopeMap, name));
  return { subject, client, scopes: [...new Set(scopes)], iatS: iat, expS: exp, ...bindingOf(payload['cnf']) };
}

/** RFC 7800: what is bound is bound, also where we do not understand to what. */
function bindingOf(cnf: unknown): Pick<UpstreamToken, 'keyThumbprint' | 'certificateS256'> {
  if (cnf === undefined) return { keyThumbprint: null, certificateS256: null };
  if (typeof cnf !== 'object' || cnf === null) throw invalid('bound to nothing known');
  const { jkt = null, 'x5t#S256': x5t = null, ...more } = cnf as Record<string, unknown>;
  const understood = (jkt === null || typeof jkt === 'string') && (x5t === null || typeof x5t === 'string');
  if (!understood || (jkt === null && x5t === null) || Object.keys(more).length > 0)
    throw invalid('bound to nothing known');
  return { keyThumbprint: jkt, certificateS256: x5t };
}

function scopesOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.split(' ').filter(Boolean);
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

function ownOf(map: Readonly<Record<string, readonly string[]>>, name: string): readonly string[] {
  return Object.hasOwn(map, name) ? (map[name] ?? []) : [];
}

function isPlainType(typ: string | undefined): boolean {
  return typ === undefined || typ.toUpperCase() === 'JWT';
}

function invalid(why: string): BehalfError {
  return new BehalfError('entry_token_invalid', { why });
}

/** Whether the token is at fault or the way to its issuer. */
function refusalFor(issuer: string, cause: unknown): BehalfError {
  if (cause instanceof BehalfError) return cause;
  if (cause instanceof joseErrors.JWTExpired) return new BehalfError('entry_token_expired', {}, { cause });
  const atFault = [
    joseErrors.JWTClaimValidationFailed,
    joseErrors.JWTInvalid,
    joseErrors.JWSInvalid,
    joseErrors.JWSSignatureVerificationFailed,
    joseErrors.JWKSNoMatchingKey,
    joseErrors.JWKSMultipleMatchingKeys,
    joseErrors.JOSEAlgNotAllowed,
    joseErrors.JOSENotSupported,
  ].some((kind) => cause instanceof kind);
  if (atFault) return new BehalfError('entry_token_invalid', { why: (cause as joseErrors.JOSEError).code }, { cause });
  return new BehalfError('trust_unavailable', { issuer, why: 'its keys cannot be had' }, { cause });
}

/** OpenID Connect Discovery section 4. */
async function discover(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await boundedFetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
  // Section 4.3: else another issuer's keys would sign for this one.
  if (response.status !== 200 || document.issuer !== issuer || typeof document.jwks_uri !== 'string')
    throw new BehalfError('trust_unavailable', { issuer, why: 'its metadata are not its own' });
  if (!isUsableUrl(document.jwks_uri))
    throw new BehalfError('trust_unavailable', { issuer, why: 'its keys are neither at https nor on loopback' });
  return document.jwks_uri;
}

/** A document of a sane size, from that very place. */
async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...options, redirect: 'error' });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_DOCUMENT_BYTES)
      throw new BehalfError('trust_unavailable', { url, why: 'its document is too large' });
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}

function isUsableUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackUrl(url)));
}
