/**
 * Access tokens of ours: RFC 9068 JWTs, signed with a key of their own, and beside each a record of it. The JWT says what was
 * granted; the record says whether it still stands, so that a token ends when it is revoked and not at its `exp`. The
 * record's id is an HMAC of the token's `jti`: knowing a `jti` alone opens nothing.
 */
import { createHmac } from 'node:crypto';
import { errors as joseErrors, jwtVerify } from 'jose';
import type { AdapterPayload } from 'oidc-provider';
import { BehalfError } from '../../errors/index.ts';
import type { Clock } from '../../identity/index.ts';
import type { AuthorityKeys } from '../keys/keys.ts';
import type { OAuthStore } from '../store/oauth-adapter.ts';

/** What a presented access token stands for. Times in seconds. */
export interface VerifiedAccessToken {
  /** Of its record. A secret. */
  readonly recordId: string;
  readonly account: string;
  readonly clientId: string;
  readonly grantId: string;
  readonly scopes: readonly string[];
  readonly expS: number;
  /** RFC 7638 thumbprint of the key that it is bound to (RFC 9449), or null. */
  readonly keyThumbprint: string | null;
  /** base64url SHA-256 of the certificate that it is bound to (RFC 8705), or null. */
  readonly certificateS256: string | null;
}

/** The parts of an access token that go into its record. */
export interface IssuedAccessToken extends AdapterPayload {
  readonly jti: string;
  readonly exp: number;
}

export interface AccessTokens {
  /** Keeps the record of a token that is about to be signed. */
  remember(token: IssuedAccessToken): void;
  /** The id of the record of a token of ours, or null for anything else. Does not look at its end. */
  recordIdOf(compact: string): Promise<string | null>;
  /**
   * Takes an access token as presented (RFC 9068 section 4), and its record.
   * @throws {BehalfError} `entry_token_expired`, `entry_token_invalid`
   */
  verify(compact: string): Promise<VerifiedAccessToken>;
  /** Whether a verified token still stands. For those who waited since: at once, so that nothing falls between look and use. */
  stands(token: VerifiedAccessToken): boolean;
  /** The consent that a token of ours named, whether or not it still stands. */
  consentIdOf(compact: string): Promise<string | null>;
}

/** Longest access token that is read. */
const MAX_TOKEN_BYTES = 4_096;

export interface AccessTokenDeps {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: AuthorityKeys;
  readonly oauth: OAuthStore;
  readonly clock: Clock;
}

/** Makes the reader and writer of access tokens. */
export function createAccessTokens({ issuer, audience, keys, oauth, clock }: AccessTokenDeps): AccessTokens {
  const secret = keys.secretFor('token-handle');
  const recordId = (jti: string): string => createHmac('sha256', secret).update(jti, 'utf8').digest('base64url');

  /** Claims of a token that we signed, at any time. @throws jose's errors */
  const read = async (compact: string, nowS: number): Promise<Record<string, unknown>> => {
    const { payload } = await jwtVerify(compact, keys.token.publicKey, {
      algorithms: ['ES256'],
      typ: 'at+jwt',
      issuer,
      audience,
      requiredClaims: ['exp', 'jti', 'sub', 'client_id'],
      currentDate: new Date(nowS * 1000),
    });
    return payload;
  };
  const readEnded = async (compact: string): Promise<Record<string, unknown> | null> => {
    if (compact.length > MAX_TOKEN_BYTES) return null;
    try {
      return await read(compact, 0);
    } catch {
      return null;
    }
  };

  /** A grant may have ended while a refresh under it was underway: that refresh's token is recorded, and worth nothing. */
  const isGranted = (id: string, grantId: string): boolean =>
    oauth.find('AccessToken', id) !== undefined && oauth.find('Grant', grantId) !== undefined;

  return {
    stands: ({ recordId, grantId }) => isGranted(recordId, grantId),
    remember: (token) => {
      const id = recordId(token.jti);
      oauth.upsert('AccessToken', id, { ...token, kind: 'AccessToken' }, token.exp - clock());
    },
    recordIdOf: async (compact) => {
      const jti = (await readEnded(compact))?.['jti'];
      return typeof jti === 'string' ? recordId(jti) : null;
    },
    consentIdOf: async (compact) => {
      const id = (await readEnded(compact))?.['consent_id'];
      return typeof id === 'string' ? id : null;
    },
    verify: async (compact) => {
      const claims = await readPresented(compact, () => read(compact, clock()));
      const id = recordId(String(claims['jti']));
      const record = oauth.find('AccessToken', id);
      if (record === undefined) throw new BehalfError('entry_token_invalid', { why: 'revoked' });
      const { accountId, clientId, grantId, scope = '', exp } = record;
      if (accountId === undefined || clientId === undefined || grantId === undefined || exp === undefined) {
        throw new BehalfError('entry_token_invalid', { why: 'not issued to a user' });
      }
      if (!isGranted(id, grantId)) throw new BehalfError('entry_token_invalid', { why: 'revoked' });
      return {
        recordId: id,
        account: accountId,
        clientId,
        grantId,
        scopes: scope.split(' ').filter(Boolean),
        expS: exp,
        keyThumbprint: record.jkt ?? null,
        certificateS256: record['x5t#S256'] ?? null,
      };
    },
  };
}

async function readPresented<T>(compact: string, read: () => Promise<T>): Promise<T> {
  if (compact.length > MAX_TOKEN_BYTES) throw new BehalfError('entry_token_invalid', { why: 'too long' });
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof joseErrors.JWTExpired) throw new BehalfError('entry_token_expired', {}, { cause });
    const why = cause instanceof joseErrors.JOSEError ? cause.code : 'unreadable';
    throw new BehalfError('entry_token_invalid', { why }, { cause });
  }
}
