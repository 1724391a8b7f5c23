/**
 * An OpenID provider that is not ours: the real `oidc-provider` on a loopback port, with keys and clients of its own. For tests; it
 * issues what it is told to, as a provider does whose users signed in.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { importJWK, type JWK, SignJWT } from 'jose';
import Provider from 'oidc-provider';

export const OTHER_AUDIENCE = 'https://mesh.example/api';
export const OTHER_CLIENT = 'portal-17';

export interface OtherProvider {
  readonly issuer: string;
  /** An RFC 9068 access token as the provider itself makes them. */
  accessToken(token: OtherToken): Promise<string>;
  /** A JWT with the provider's own key, of any claims and any header: what else it may sign. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  close(): Promise<void>;
}

export interface OtherToken {
  readonly account: string;
  readonly scope: string;
  readonly client?: string;
  readonly audience?: string;
  readonly lifeS?: number;
  /** Thumbprint of the key that it is bound to (RFC 9449). */
  readonly jkt?: string;
  /** base64url SHA-256 of the certificate that it is bound to (RFC 8705). */
  readonly x5tS256?: string;
}

/** Starts one. */
export async function startOtherProvider(): Promise<OtherProvider> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const key: JWK = {
    ...generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'jwk' }),
    kid: 'other-1',
    alg: 'ES256',
    use: 'sig',
  };
  const signer = await importJWK(key, 'ES256');
  const client = (client_id: string) => ({
    client_id,
    client_secret: 'a secret of the other provider',
    redirect_uris: ['https://portal.example/callback'],
    id_token_signed_response_alg: 'ES256' as const,
  });
  const provider = new Provider(issuer, {
    jwks: { keys: [key as never] },
    clients: [client(OTHER_CLIENT), client('unknown-here')],
    cookies: { keys: ['only for tests'] },
    features: { devInteractions: { enabled: false } },
  });
  const answer = provider.callback();

  return {
    issuer,
    async accessToken({ account, scope, client = OTHER_CLIENT, audience = OTHER_AUDIENCE, lifeS = 600, jkt, x5tS256 }) {
      const found = await provider.Client.find(client);
      if (found === undefined) throw new Error('no such client');
      const token = new provider.AccessToken({
        accountId: account,
        client: found,
        grantId: 'of-the-other',
        gty: 'authorization_code',
        expiresIn: lifeS,
        scope,
        ...(jkt === undefined ? {} : { jkt }),
        ...(x5tS256 === undefined ? {} : { 'x5t#S256': x5tS256 }),
      } as never);
      token.resourceServer = new provider.ResourceServer(audience, {
        scope,
        audience,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      });
      return await token.save();
    },
    sign: (claims, header = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'other-1', typ: 'at+jwt', ...header }).sign(signer),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
