import { generateKeyPairSync, hash, randomBytes, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, SignJWT } from 'jose';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../errors/index.ts';
import { firstBrokenVersion } from './consent/history.ts';
import { ACCESS_TOKEN_TYPE } from './exchange/exchange.ts';
import { obtainTokens, openBrowser, refreshTokens } from './headless/index.ts';
import {
  consentOrder,
  PASSWORD,
  REDIRECT_URI,
  type RunningAuthority,
  runAuthority,
  SCOPES,
  STOREFRONT,
} from './testing/running-authority.ts';

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
});
afterEach(() => running.close());

const ask = (more: Partial<Parameters<typeof obtainTokens>[0]> = {}) => consentOrder(running.issuer, more);

async function authError(
  parameters: Record<string, string>,
): Promise<{ location: URL | null; status: number; body: string }> {
  const url = new URL('/auth', running.issuer);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: 'shop-app',
    redirect_uri: REDIRECT_URI,
    scope: 'orders:read',
    state: 's',
    ...parameters,
  }).toString();
  return await openBrowser(running.issuer).get(url);
}

async function postForm(
  path: string,
  fields: Record<string, string>,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(new URL(path, running.issuer), { method: 'POST', body: new URLSearchParams(fields) });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

const introspect = async (token: string) =>
  (await postForm('/token/introspection', { client_id: 'shop-app', token })).body;

test('a user signs in, consents, and the client gets an RFC 9068 access token for the mesh', async () => {
  const tokens = await obtainTokens(ask());
  expect(decodeProtectedHeader(tokens.accessToken)).toMatchObject({
    typ: 'at+jwt',
    alg: 'ES256',
    kid: running.keys.token.kid,
  });
  const claims = decodeJwt(tokens.accessToken);
  expect(claims).toMatchObject({
    iss: running.issuer,
    aud: 'spiffe://shop.example/behalf/mesh',
    client_id: 'shop-app',
    scope: SCOPES.join(' '),
  });
  expect(claims.sub).toMatch(/^u:[\w-]{22}$/);
  expect(tokens.expiresIn).toBeGreaterThan(3_500);
  expect(await introspect(tokens.accessToken)).toMatchObject({
    active: true,
    scope: SCOPES.join(' '),
    client_id: 'shop-app',
  });
  const consent = running.authority.consents.get(tokens.consentId);
  expect(consent).toMatchObject({ version: 1, purpose: 'buy a book', scopes: SCOPES, state: 'active' });
  expect(running.events.map(({ body }) => body)).toEqual(['consent']);
});

test('the client sees another pseudonym than the mesh, and each client its own', async () => {
  const [one, two] = [await obtainTokens(ask()), await obtainTokens(ask({ clientId: 'other-app' }))];
  const account = running.authority.accounts.idOf('demo') ?? '';
  const subjects = [
    decodeJwt(one.accessToken).sub,
    decodeJwt(two.accessToken).sub,
    running.authority.subjectOf(account),
  ];
  expect(new Set(subjects).size).toBe(3);
});

test('what the user unticks is not granted', async () => {
  const tokens = await obtainTokens(ask({ grantOnly: ['orders:read'] }));
  expect(tokens.scopes).toEqual(['orders:read']);
  expect(running.authority.consents.get(tokens.consentId)?.scopes).toEqual(['orders:read']);
  expect(running.authority.consents.history(tokens.consentId)[0]?.shown).toContain('[ ] orders:write');
});

test('a scope that the form does not show cannot be granted by posting it', async () => {
  const tokens = await obtainTokens(ask({ scopes: ['orders:read'], grantOnly: ['orders:read', 'payments:charge'] }));
  expect(tokens.scopes).toEqual(['orders:read']);
});

test('nothing ticked is a refusal', async () => {
  await expect(obtainTokens(ask({ grantOnly: [] }))).rejects.toMatchObject({ detail: { error: 'access_denied' } });
});

test('an access token never outlives the consent', async () => {
  const tokens = await obtainTokens(ask({ durationS: 120 }));
  expect(tokens.expiresIn).toBeLessThanOrEqual(120);
});

test('the consent page calls scopes by their titles, escapes what others wrote, and lets no script run', async () => {
  const browser = openBrowser(running.issuer);
  const url = new URL('/auth', running.issuer);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: 'shop-app',
    redirect_uri: REDIRECT_URI,
    scope: 'orders:read',
    code_challenge: hash('sha256', 'x'.repeat(43), 'base64url'),
    code_challenge_method: 'S256',
    purpose: '<script>alert(1)</script>',
  }).toString();
  const start = await browser.get(url);
  const signIn = await browser.get(start.location ?? url);
  const posted = await browser.post(signIn.formAction() ?? url, [
    ['csrf', signIn.hiddenField('csrf') ?? ''],
    ['account', 'demo'],
    ['password', PASSWORD],
  ]);
  const resumed = await browser.get(posted.location ?? url);
  const consent = await browser.get(resumed.location ?? url);
  expect(consent.body).toContain('See your orders');
  expect(consent.body).toContain('Shop &lt;app&gt;');
  expect(consent.body).not.toContain('<script');
  const head = await fetch(new URL('/sign-in', running.issuer));
  expect(head.headers.get('content-security-policy')).toContain("default-src 'none'");
});

test('a request without PKCE is refused', async () => {
  const { location } = await authError({});
  expect(location?.searchParams.get('error')).toBe('invalid_request');
  expect(location?.searchParams.get('error_description')).toContain('PKCE');
});

test('authorization details of no registered type and form are refused, not left out', async () => {
  const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' };
  for (const details of [
    '[{"type":"payment"}]',
    '[{"type":"loan"}]',
    'payment',
    '{}',
    `[${'{"type":"payment"},'.repeat(99)}]`,
  ]) {
    const { location } = await authError({ ...pkce, authorization_details: details });
    expect(location?.searchParams.get('error'), details).toBe('invalid_authorization_details');
  }
});

test('a purpose that would not show as it reads is refused', async () => {
  const pkce = { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' };
  for (const purpose of ['a\u2028b', 'a\u202eb', 'x'.repeat(201)]) {
    const { location } = await authError({ ...pkce, purpose });
    expect(location?.searchParams.get('error')).toBe('invalid_request');
  }
});

test('scopes that are not registered for a client are neither shown nor granted', async () => {
  const tokens = await obtainTokens(
    ask({ scopes: ['orders:read', 'admin:all'], grantOnly: ['orders:read', 'admin:all'] }),
  );
  expect(tokens.scopes).toEqual(['orders:read']);
});

test('at one browser another user can sign in, and consents for themselves', async () => {
  const browser = openBrowser(running.issuer);
  const first = await obtainTokens(ask({ browser }));
  const second = await obtainTokens(ask({ browser, account: 'second', prompt: 'login' }));
  const accountOf = (id: string) =>
    running.authority.accounts.nameOf(running.authority.consents.get(id)?.account ?? '');
  expect([accountOf(first.consentId), accountOf(second.consentId)]).toEqual(['demo', 'second']);
  const list = await browser.get(new URL('/consents', running.issuer));
  expect(list.body).toContain('<strong>second</strong>');
});

test('PKCE with the plain method is refused', async () => {
  const { location } = await authError({ code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' });
  expect(location?.searchParams.get('error')).toBe('invalid_request');
});

test('implicit and password grants do not exist', async () => {
  const { location } = await authError({
    response_type: 'token',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  });
  expect(location?.href ?? '').not.toContain('access_token');
  expect(
    (await postForm('/token', { grant_type: 'password', client_id: 'shop-app', username: 'demo', password: PASSWORD }))
      .body['error'],
  ).toBe('unsupported_grant_type');
});

test('a redirect URI that is not registered is not redirected to', async () => {
  const answer = await authError({
    redirect_uri: 'http://127.0.0.1:9/other',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  });
  expect(answer.location).toBeNull();
  expect(answer.status).toBe(400);
});

test('refresh tokens rotate, and using one twice ends the grant with everything under it', async () => {
  const first = await obtainTokens(ask());
  const second = await refreshTokens({
    issuer: running.issuer,
    clientId: 'shop-app',
    refreshToken: first.refreshToken,
  });
  expect(second.refreshToken).not.toBe(first.refreshToken);
  expect((await introspect(second.accessToken))['active']).toBe(true);
  const reuse = refreshTokens({ issuer: running.issuer, clientId: 'shop-app', refreshToken: first.refreshToken });
  await expect(reuse).rejects.toMatchObject({ detail: { error: 'invalid_grant' } });
  const next = refreshTokens({ issuer: running.issuer, clientId: 'shop-app', refreshToken: second.refreshToken });
  await expect(next).rejects.toMatchObject({ detail: { error: 'invalid_grant' } });
  expect(await introspect(second.accessToken)).toEqual({ active: false });
  expect(running.stated.map(({ revocation }) => revocation.kind)).toEqual(['grant']);
});

test('a revoked access token is inactive, and its grant’s roots end', async () => {
  const { accessToken } = await obtainTokens(ask());
  expect((await postForm('/token/revocation', { client_id: 'shop-app', token: accessToken })).status).toBe(200);
  expect(await introspect(accessToken)).toEqual({ active: false });
  expect(running.stated).toHaveLength(1);
});

test('another client can neither introspect nor revoke a token', async () => {
  const { accessToken } = await obtainTokens(ask());
  expect((await postForm('/token/introspection', { client_id: 'other-app', token: accessToken })).body).toEqual({
    active: false,
  });
  await postForm('/token/revocation', { client_id: 'other-app', token: accessToken });
  expect((await introspect(accessToken))['active']).toBe(true);
});

test('a token with a changed signature is inactive', async () => {
  const { accessToken } = await obtainTokens(ask());
  const [head, body] = accessToken.split('.');
  expect(await introspect(`${head}.${body}.${randomBytes(64).toString('base64url')}`)).toEqual({ active: false });
});

test('a withdrawn consent makes its tokens inactive, refuses refresh, and is stated before the answer', async () => {
  const tokens = await obtainTokens(ask());
  const { number } = await running.authority.changes.withdraw(tokens.consentId, 'user', '');
  expect(running.stated).toEqual([
    { number, revocation: { kind: 'consent', value: tokens.consentId, before: expect.any(Number) } },
  ]);
  expect(await introspect(tokens.accessToken)).toEqual({ active: false });
  const refresh = refreshTokens({ issuer: running.issuer, clientId: 'shop-app', refreshToken: tokens.refreshToken });
  await expect(refresh).rejects.toMatchObject({ detail: { error: 'invalid_grant' } });
});

test('consenting again to less narrows the same consent, and the history holds', async () => {
  const first = await obtainTokens(ask());
  const second = await obtainTokens(ask({ grantOnly: ['orders:read'] }));
  expect(second.consentId).toBe(first.consentId);
  expect(running.stated[0]?.revocation).toMatchObject({ kind: 'consent', version: 2 });
  expect(await introspect(first.accessToken)).toMatchObject({ active: true, scope: 'orders:read' });
  await running.authority.changes.withdraw(first.consentId, 'user', 'enough');
  const history = running.authority.consents.history(first.consentId);
  expect(history.map(({ change }) => change)).toEqual(['granted', 'narrowed', 'withdrawn']);
  expect(firstBrokenVersion(history)).toBeNull();
  expect(
    firstBrokenVersion(history.map((change) => (change.version === 2 ? { ...change, scopes: SCOPES } : change))),
  ).toBe(2);
});

test('a consent past its end expires by itself', async () => {
  const { consentId, accessToken } = await obtainTokens(ask({ durationS: 60 }));
  running.advance(61);
  await running.authority.sweep();
  expect(running.authority.consents.get(consentId)?.state).toBe('expired');
  expect(await introspect(accessToken)).toEqual({ active: false });
});

test('a sign-in form without its token is refused', async () => {
  const browser = openBrowser(running.issuer);
  await browser.get(new URL('/sign-in', running.issuer));
  const posted = await browser.post(new URL('/sign-in', running.issuer), [
    ['account', 'demo'],
    ['password', PASSWORD],
  ]);
  expect(posted.status).toBe(400);
});

test('a user takes consent back on the page, but not another user’s', async () => {
  const mine = await obtainTokens(ask());
  const theirs = await obtainTokens(ask({ account: 'second' }));
  const browser = openBrowser(running.issuer);
  const at = (path: string) => new URL(path, running.issuer);
  const form = await browser.get(at('/sign-in'));
  await browser.post(at('/sign-in'), [
    ['csrf', form.hiddenField('csrf') ?? ''],
    ['account', 'demo'],
    ['password', PASSWORD],
  ]);
  const list = await browser.get(at('/consents'));
  expect(list.body).toContain(mine.consentId);
  expect(list.body).not.toContain(theirs.consentId);
  const csrf = list.hiddenField('csrf') ?? '';
  expect((await browser.post(at(`/consents/${mine.consentId}/withdraw`), [])).status).toBe(400);
  expect((await browser.post(at(`/consents/${theirs.consentId}/withdraw`), [['csrf', csrf]])).status).toBe(404);
  expect((await browser.post(at(`/consents/${mine.consentId}/withdraw`), [['csrf', csrf]])).status).toBe(303);
  expect(running.authority.consents.get(mine.consentId)?.state).toBe('withdrawn');
  expect(running.authority.consents.get(theirs.consentId)?.state).toBe('active');
});

test('too many wrong passwords have to wait, also with the right one', async () => {
  for (let i = 0; i < 5; i++) {
    await expect(obtainTokens(ask({ password: 'wrong' }))).rejects.toMatchObject({ code: 'entry_token_invalid' });
  }
  const error = await obtainTokens(ask()).catch((thrown: unknown) => thrown);
  expect(codeOf(error)).toBe('rate_limited');
  running.advance(301);
  expect((await obtainTokens(ask())).scopes).toEqual(SCOPES);
});

test('metadata and keys are published', async () => {
  const metadata = (await (
    await fetch(new URL('/.well-known/oauth-authorization-server', running.issuer))
  ).json()) as Record<string, unknown>;
  expect(metadata).toMatchObject({
    issuer: running.issuer,
    code_challenge_methods_supported: ['S256'],
    response_types_supported: ['code'],
  });
  const jwks = (await (await fetch(String(metadata['jwks_uri']))).json()) as { keys: Record<string, unknown>[] };
  expect(jwks.keys.map(({ kid }) => kid)).toEqual([running.keys.token.kid, running.keys.root.kid]);
  expect(jwks.keys.every((key) => !('d' in key))).toBe(true);
});

test('tokens bound to a key by DPoP refresh with that key only, and exchange with its proof only', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = await exportJWK(publicKey);
  const proofFor = (method: string, url: string, more: Record<string, unknown> = {}) =>
    new SignJWT({ htm: method, htu: url, jti: randomUUID(), iat: running.nowS(), ...more })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .sign(privateKey);
  const first = await obtainTokens(ask({ proof: proofFor }));
  expect(decodeJwt(first.accessToken)['cnf']).toEqual({ jkt: await calculateJwkThumbprint(jwk) });
  const refresh = { issuer: running.issuer, clientId: 'shop-app', refreshToken: first.refreshToken };
  await expect(refreshTokens(refresh)).rejects.toMatchObject({ detail: { error: 'invalid_grant' } });
  const { accessToken } = await refreshTokens({ ...refresh, proof: proofFor });

  const { caller } = await running.workload(STOREFRONT);
  const url = 'https://shop.example/orders';
  const ath = hash('sha256', accessToken, 'base64url');
  const exchange = async (dpopProof: string) =>
    await running.authority.exchange(
      {
        subjectToken: accessToken,
        subjectTokenType: ACCESS_TOKEN_TYPE,
        scope: 'orders:read',
        authorizationDetails: '',
        purpose: '',
        dpopProof,
        dpopMethod: 'GET',
        dpopUri: url,
        ownTo: '',
        clientCertificateS256: '',
      },
      caller,
    );
  await expect(exchange('')).rejects.toMatchObject({ code: 'entry_proof_invalid' });
  expect((await exchange(await proofFor('GET', url, { ath }))).scope).toBe('orders:read');
});

test('no password, code or token reaches the log, also where requests fail', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
  const logged = await runAuthority({ log });
  try {
    const issuer = logged.issuer;
    const tokens = await obtainTokens(ask({ issuer }));
    await refreshTokens({ issuer, clientId: 'shop-app', refreshToken: tokens.refreshToken });
    await refreshTokens({ issuer, clientId: 'shop-app', refreshToken: tokens.refreshToken }).catch(() => undefined);
    await obtainTokens(ask({ issuer, password: 'wrong password' })).catch(() => undefined);
    log.info('so that there is a line');
    for (const secret of [PASSWORD, 'wrong password', tokens.accessToken, tokens.refreshToken]) {
      expect(lines.join('')).not.toContain(secret);
    }
  } finally {
    await logged.close();
  }
});
