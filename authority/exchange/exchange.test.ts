import { generateKeyPairSync, hash, randomUUID } from 'node:crypto';
import { decodeJwt, exportJWK, SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRoot } from '../../delegation/root/index.ts';
import { codeOf } from '../../errors/index.ts';
import { obtainTokens } from '../headless/index.ts';
import {
  consentOrder,
  exchangeParameters,
  INVENTORY,
  ORDERS,
  type RunningAuthority,
  runAuthority,
  STOREFRONT,
  testSnapshot,
} from '../testing/running-authority.ts';
import { type ExchangeParameters, JWT_TYPE } from './exchange.ts';
import { createProofChecker } from './proof-of-possession.ts';

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
});
afterEach(() => running.close());

const tokens = (more: { grantOnly?: string[]; durationS?: number } = {}) =>
  obtainTokens(consentOrder(running.issuer, more));

const parameters = (more: Partial<ExchangeParameters>): ExchangeParameters => exchangeParameters(more);

const codeOfExchange = async (more: Partial<ExchangeParameters>, workload: string): Promise<string> => {
  const { caller } = await running.workload(workload);
  try {
    await running.authority.exchange(parameters(more), caller);
    return 'issued';
  } catch (error) {
    return codeOf(error);
  }
};

test('an access token becomes a root with scope = granted ∩ asked ∩ ceiling', async () => {
  const { accessToken, consentId } = await tokens();
  const { caller } = await running.workload(STOREFRONT);
  const issued = await running.authority.exchange(
    parameters({ subjectToken: accessToken, scope: 'payments:charge orders:read' }),
    caller,
  );
  const root = parseRoot(issued.txnToken);
  expect(root.kid).toBe(running.keys.root.kid);
  expect(root.claims).toMatchObject({
    iss: running.issuer,
    aud: 'spiffe://shop.example/behalf/delegation',
    scope: 'orders:read',
    req_wl: STOREFRONT,
    sub: running.authority.subjectOf(running.authority.accounts.idOf('demo') ?? ''),
    tctx: { client_id: 'shop-app', consent: { id: consentId, version: 1 }, purpose: 'buy a book' },
  });
  expect(root.claims.exp - root.claims.iat).toBe(120);
});

test('what the user did not grant is not in the root, even inside the ceiling', async () => {
  const { accessToken } = await tokens({ grantOnly: ['orders:read'] });
  const { caller } = await running.workload(STOREFRONT);
  expect((await running.authority.exchange(parameters({ subjectToken: accessToken }), caller)).scope).toBe(
    'orders:read',
  );
});

test('a root ends with the consent', async () => {
  const { accessToken } = await tokens({ durationS: 60 });
  const { caller } = await running.workload(STOREFRONT);
  const { expiresS } = await running.authority.exchange(parameters({ subjectToken: accessToken }), caller);
  expect(expiresS).toBeLessThanOrEqual(running.nowS() + 60);
});

test('a workload that is no entry gets no root for a user', async () => {
  const { accessToken } = await tokens();
  expect(await codeOfExchange({ subjectToken: accessToken }, ORDERS)).toBe('policy_denied');
  expect(await codeOfExchange({ subjectToken: accessToken }, 'spiffe://shop.example/stranger')).toBe('policy_denied');
});

test('without a snapshot, or past its end, nothing is minted', async () => {
  const { accessToken } = await tokens();
  running.setSnapshot(null);
  expect(await codeOfExchange({ subjectToken: accessToken }, STOREFRONT)).toBe('snapshot_stale');
  running.setSnapshot({ ...testSnapshot(), valid_until: running.nowS() - 1 });
  expect(await codeOfExchange({ subjectToken: accessToken }, STOREFRONT)).toBe('snapshot_stale');
});

test('an expired access token is entry_token_expired, another one entry_token_invalid', async () => {
  const { accessToken } = await tokens({ durationS: 60 });
  running.advance(61);
  expect(await codeOfExchange({ subjectToken: accessToken }, STOREFRONT)).toBe('entry_token_expired');
  expect(await codeOfExchange({ subjectToken: `${accessToken}x` }, STOREFRONT)).toBe('entry_token_invalid');
  expect(await codeOfExchange({ subjectToken: 'no.token.atall' }, STOREFRONT)).toBe('entry_token_invalid');
});

test('a withdrawn consent refuses the exchange with consent_withdrawn', async () => {
  const { accessToken, consentId } = await tokens();
  await running.authority.changes.withdraw(consentId, 'user', '');
  expect(await codeOfExchange({ subjectToken: accessToken }, STOREFRONT)).toBe('consent_withdrawn');
});

test('a narrowed consent narrows the next root of an older token, which names the new version', async () => {
  const { accessToken, consentId } = await tokens();
  await running.authority.changes.narrow(consentId, ['orders:write'], 'user');
  const { caller } = await running.workload(STOREFRONT);
  const root = parseRoot(
    (await running.authority.exchange(parameters({ subjectToken: accessToken }), caller)).txnToken,
  );
  expect(root.claims.scope).toBe('orders:write');
  expect(root.claims.tctx.consent?.version).toBe(2);
});

test('a workload gets a root of its own only for an own edge, with that edge’s scopes', async () => {
  const { identity, caller } = await running.workload(ORDERS);
  const own = { subjectToken: identity.current().wit, subjectTokenType: JWT_TYPE, scope: '', ownTo: INVENTORY };
  const root = parseRoot(
    (await running.authority.exchange(parameters({ ...own, purpose: 'restock' }), caller)).txnToken,
  );
  expect(root.claims).toMatchObject({ sub: ORDERS, req_wl: ORDERS, scope: 'stock:read', tctx: { purpose: 'restock' } });
  await expect(running.authority.exchange(parameters({ ...own, ownTo: STOREFRONT }), caller)).rejects.toMatchObject({
    code: 'policy_denied',
  });
});

test('the WIT of an own root has to be the caller’s, bound to the certificate that it called with', async () => {
  const first = await running.workload(ORDERS);
  const second = await running.workload(ORDERS);
  const own = { subjectToken: first.identity.current().wit, subjectTokenType: JWT_TYPE, ownTo: INVENTORY };
  await expect(running.authority.exchange(parameters(own), second.caller)).rejects.toMatchObject({
    code: 'entry_proof_invalid',
  });
  expect(await codeOfExchange(own, STOREFRONT)).toBe('entry_proof_invalid');
  expect(await codeOfExchange({ ...own, subjectToken: 'a.b.c' }, ORDERS)).toBe('entry_token_invalid');
});

test('details that are not understood refuse, and so does an unknown token type', async () => {
  const { accessToken: subjectToken } = await tokens();
  const asking = (authorizationDetails: string) => codeOfExchange({ subjectToken, authorizationDetails }, STOREFRONT);
  for (const text of ['{}', '[1]', '[{"type":"unknown"}]', '[{"type":"payment","limit":5}]', 'payment'])
    expect(await asking(text), text).toBe('details_unsupported');
  expect(await asking('[]')).toBe('issued');
  expect(await codeOfExchange({ subjectTokenType: 'urn:x' }, STOREFRONT)).toBe('request_malformed');
});

test('no other token of ours, and none of another audience, passes for an access token', async () => {
  const { accessToken, refreshToken } = await tokens();
  const { identity, caller } = await running.workload(STOREFRONT);
  const { txnToken } = await running.authority.exchange(parameters({ subjectToken: accessToken }), caller);
  const sign = (claims: Record<string, unknown>, typ: string, key = running.keys.token) =>
    new SignJWT({ ...decodeJwt(accessToken), ...claims })
      .setProtectedHeader({ alg: 'ES256', typ, kid: key.kid })
      .sign(key.key);
  const [head, body] = accessToken.split('.');
  const others = {
    'refresh token': refreshToken,
    root: txnToken,
    WIT: identity.current().wit,
    // The library signs ID tokens with the key of access tokens: the type tells them apart.
    'ID token': await sign({}, 'JWT'),
    'another audience': await sign({ aud: 'spiffe://shop.example/behalf/delegation' }, 'at+jwt'),
    'two audiences': await sign({ aud: ['spiffe://other.example/behalf/mesh'] }, 'at+jwt'),
    'another issuer': await sign({ iss: 'https://other.example' }, 'at+jwt'),
    'signed with the root key': await sign({}, 'at+jwt', running.keys.root),
    'never issued': await sign({ jti: 'unknown' }, 'at+jwt'),
    'no signature': `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${body}.`,
    'a changed head': `${head}A.${body}.AAAA`,
  };
  for (const [name, subjectToken] of Object.entries(others)) {
    expect([name, await codeOfExchange({ subjectToken }, STOREFRONT)]).toEqual([name, 'entry_token_invalid']);
  }
  expect(await codeOfExchange({ subjectToken: await sign({}, 'at+jwt') }, STOREFRONT)).toBe('issued');
});

test('the purpose of an own root is one line of plain text, as the one that users are shown', async () => {
  const { identity, caller } = await running.workload(ORDERS);
  const own = { subjectToken: identity.current().wit, subjectTokenType: JWT_TYPE, scope: '', ownTo: INVENTORY };
  for (const purpose of ['two\nlines', 'a\u2028b', '\u202eesrever', 'half \ud800', 'x'.repeat(201)]) {
    await expect(running.authority.exchange(parameters({ ...own, purpose }), caller)).rejects.toMatchObject({
      code: 'request_malformed',
    });
  }
});

test('a token that is bound to a key needs a fresh proof with that key, once', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = await exportJWK(publicKey);
  const uri = 'https://shop.example/orders';
  const proof = (more: Record<string, unknown> = {}): Promise<string> =>
    new SignJWT({
      htm: 'GET',
      htu: uri,
      ath: hash('sha256', 'the-token', 'base64url'),
      jti: randomUUID(),
      iat: running.nowS(),
      ...more,
    })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .sign(privateKey);
  const { calculateJwkThumbprint } = await import('jose');
  const token = {
    recordId: 'r',
    account: 'a',
    clientId: 'c',
    grantId: 'g',
    scopes: [],
    expS: running.nowS() + 60,
    keyThumbprint: await calculateJwkThumbprint(jwk),
    certificateS256: null,
  };
  const checker = createProofChecker(running.nowS);
  const check = async (dpopProof: string, bound = token): Promise<string> => {
    const presented = { dpopProof, dpopMethod: 'GET', dpopUri: `${uri}?page=2`, clientCertificateS256: '' };
    return await checker.check(presented, 'the-token', bound).then(() => 'taken', codeOf);
  };
  const once = await proof();
  expect(await check(once)).toBe('taken');
  expect(await check(once)).toBe('entry_proof_invalid');
  for (const wrong of [
    '',
    await proof({ htm: 'POST' }),
    await proof({ htu: 'https://shop.example/other' }),
    await proof({ ath: 'x' }),
    await proof({ iat: running.nowS() - 61 }),
  ]) {
    expect(await check(wrong)).toBe('entry_proof_invalid');
  }
  expect(await check(await proof(), { ...token, keyThumbprint: 'another' })).toBe('entry_proof_invalid');
  expect(await check(await proof(), { ...token, keyThumbprint: null as unknown as string })).toBe(
    'entry_proof_invalid',
  );
});
