/** What is taken back while an exchange is underway. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BUILT_IN_DETAIL_TYPES } from '../../delegation/index.ts';
import { codeOf } from '../../errors/index.ts';
import { createGrantDetails } from '../details/grant-details.ts';
import { obtainTokens, refreshTokens } from '../headless/index.ts';
import { createAccessTokens } from '../oauth/access-tokens.ts';
import { createOAuthStore } from '../store/oauth-adapter.ts';
import {
  consentOrder,
  exchangeParameters,
  type RunningAuthority,
  runAuthority,
  STOREFRONT,
  TRUST_DOMAIN,
  testSnapshot,
} from '../testing/running-authority.ts';
import { createExchange, type Exchange, type ExchangeParameters } from './exchange.ts';

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
});
afterEach(() => running.close());

const tokens = () => obtainTokens(consentOrder(running.issuer));

const parameters = (subjectToken: string): ExchangeParameters =>
  exchangeParameters({ subjectToken, scope: 'orders:read' });

const store = () => createOAuthStore(running.database, running.nowS, () => undefined);
const accessTokens = () =>
  createAccessTokens({
    issuer: running.issuer,
    audience: `spiffe://${TRUST_DOMAIN}/behalf/mesh`,
    keys: running.keys,
    oauth: store(),
    clock: running.nowS,
  });

/** The real exchange, in which `meanwhile` happens while the proof of possession is judged. */
function exchangeWhile(meanwhile: () => Promise<void>): Exchange {
  return createExchange({
    issuer: running.issuer,
    audience: 'spiffe://shop.example/behalf/delegation',
    keys: running.keys,
    tokens: accessTokens(),
    consents: running.authority.consents,
    details: createGrantDetails({ database: running.database, types: () => BUILT_IN_DETAIL_TYPES }),
    transaction: running.database.transaction,
    proofs: { check: meanwhile },
    resume: () => Promise.reject(new Error('not here')),
    snapshot: () => testSnapshot(),
    stands: () => true,
    subjectOf: running.authority.subjectOf,
    trustDomain: TRUST_DOMAIN,
    witKey: () => null,
    clock: running.nowS,
  });
}

async function codeWhile(accessToken: string, meanwhile: () => Promise<void>): Promise<string> {
  const { caller } = await running.workload(STOREFRONT);
  return await exchangeWhile(meanwhile)(parameters(accessToken), caller).then(() => 'issued', codeOf);
}

test('no root is minted on an access token that was revoked while its proof was judged', async () => {
  const { accessToken } = await tokens();
  expect(await codeWhile(accessToken, async () => {})).toBe('issued');
  const revoke = async () => {
    const body = new URLSearchParams({ client_id: 'shop-app', token: accessToken });
    expect((await fetch(new URL('/token/revocation', running.issuer), { method: 'POST', body })).status).toBe(200);
  };
  expect(await codeWhile(accessToken, revoke)).toBe('entry_token_invalid');
});

test('no root is minted on a grant that ended while the proof was judged', async () => {
  const { accessToken, refreshToken } = await tokens();
  const reuse = async () => {
    const use = () => refreshTokens({ issuer: running.issuer, clientId: 'shop-app', refreshToken });
    await use();
    await expect(use()).rejects.toMatchObject({ detail: { error: 'invalid_grant' } });
  };
  expect(await codeWhile(accessToken, reuse)).toBe('entry_token_invalid');
});

test('no root is minted on a consent that was withdrawn while the proof was judged', async () => {
  const { accessToken, consentId } = await tokens();
  const withdraw = async () => {
    await running.authority.changes.withdraw(consentId, 'user', '');
  };
  expect(await codeWhile(accessToken, withdraw)).toBe('consent_withdrawn');
});

test('a token that a refresh still issued under a grant that had just ended is worth nothing', async () => {
  const { accessToken } = await tokens();
  const before = await accessTokens().verify(accessToken);
  const record = store().find('AccessToken', before.recordId) ?? {};
  store().endGrant(before.grantId);
  // The refresh comes to its end after the grant did, and records its token.
  store().upsert('AccessToken', before.recordId, record, 600);
  await expect(accessTokens().verify(accessToken)).rejects.toMatchObject({ code: 'entry_token_invalid' });
});
