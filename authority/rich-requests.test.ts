/** Rich authorization requests (RFC 9396) at the authority: asked, shown, granted, told, and spent once. */
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DetailType } from '../delegation/index.ts';
import { parseRoot } from '../delegation/root/index.ts';
import { codeOf } from '../errors/index.ts';
import { type ObtainedTokens, obtainTokens, openBrowser, refreshTokens } from './headless/index.ts';
import { openDatabase } from './store/database.ts';
import {
  consentOrder,
  exchangeParameters,
  PASSWORD,
  REDIRECT_URI,
  type RunningAuthority,
  runAuthority,
  SCOPES,
  STOREFRONT,
  testSnapshot,
} from './testing/running-authority.ts';

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
});
afterEach(() => running.close());

const pay = (amount: string, more: object = {}) => ({ type: 'payment', limit: { currency: 'EUR', amount }, ...more });
const ACME = pay('120.00', { creditorName: 'ACME <b>' });

const consentTo = (...details: object[]): Promise<ObtainedTokens> =>
  obtainTokens(consentOrder(running.issuer, { details: JSON.stringify(details) }));

async function rootFor(accessToken: string, asked: string) {
  const { caller } = await running.workload(STOREFRONT);
  const parameters = exchangeParameters({
    subjectToken: accessToken,
    scope: 'orders:read',
    authorizationDetails: asked,
  });
  return await running.authority.exchange(parameters, caller);
}
const detailsOf = async (accessToken: string, asked: string) => {
  const { txnToken } = await rootFor(accessToken, asked);
  return parseRoot(txnToken).claims.tctx.authorization_details;
};
const codeFor = (accessToken: string, ...asked: object[]): Promise<string> =>
  rootFor(accessToken, JSON.stringify(asked)).then(() => 'issued', codeOf);

test('what the user let a client pay is in the token, the answer, introspection, the history and on the page', async () => {
  const { accessToken, consentId } = await consentTo(ACME);
  expect(decodeJwt(accessToken)['authorization_details']).toEqual([ACME]);
  const body = new URLSearchParams({ client_id: 'shop-app', token: accessToken });
  const answer = await fetch(new URL('/token/introspection', running.issuer), { method: 'POST', body });
  expect(await answer.json()).toMatchObject({ active: true, authorization_details: [ACME] });
  const shown = running.authority.consents.history(consentId)[0]?.shown;
  expect(shown).toContain('[x] Pay at most 120.00 EUR to “ACME <b>”');
  const metadata = await fetch(new URL('/.well-known/openid-configuration', running.issuer));
  expect(await metadata.json()).toMatchObject({ authorization_details_types_supported: ['payment'] });
});

test('the consent page says it in words, and escapes them', async () => {
  const browser = openBrowser(running.issuer);
  await obtainTokens({
    ...{ issuer: running.issuer, clientId: 'shop-app', redirectUri: REDIRECT_URI, account: 'demo', password: PASSWORD },
    ...{ scopes: SCOPES, purpose: '', durationS: 600, details: JSON.stringify([ACME]), browser },
  });
  const list = await browser.get(new URL('/consents', running.issuer));
  expect(list.body).toContain('Pay at most 120.00 EUR to “ACME &lt;b&gt;”');
});

test('what no token could carry is not asked of the user', async () => {
  // As many characters as are taken, of three bytes each.
  const far = Array.from({ length: 6 }, () =>
    pay('1.00', { creditorName: '漢'.repeat(70), identifier: '字'.repeat(64) }),
  );
  expect(JSON.stringify(far).length).toBeLessThan(1_536);
  await expect(consentTo(...far)).rejects.toThrow(/invalid_authorization_details/);
});

test('what the user unticks is not granted, and the history says so', async () => {
  const { accessToken, consentId } = await obtainTokens({
    ...{ issuer: running.issuer, clientId: 'shop-app', redirectUri: REDIRECT_URI, account: 'demo', password: PASSWORD },
    ...{ scopes: SCOPES, purpose: '', durationS: 600, details: JSON.stringify([ACME]), tickDetails: false },
  });
  expect(decodeJwt(accessToken)['authorization_details']).toBeUndefined();
  expect(running.authority.consents.history(consentId)[0]?.shown).toContain('[ ] Pay at most 120.00 EUR');
  expect(await detailsOf(accessToken, '[{"type":"payment"}]')).toBeUndefined();
});

test('a refreshed token has the same details, and the token endpoint takes none', async () => {
  const { refreshToken } = await consentTo(ACME);
  const refresh = { issuer: running.issuer, clientId: 'shop-app' };
  const { accessToken, refreshToken: next } = await refreshTokens({ ...refresh, refreshToken });
  expect(decodeJwt(accessToken)['authorization_details']).toEqual([ACME]);
  const body = { grant_type: 'refresh_token', client_id: 'shop-app', refresh_token: next, authorization_details: '[]' };
  const answer = await fetch(new URL('/token', running.issuer), { method: 'POST', body: new URLSearchParams(body) });
  expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
    400,
    'invalid_authorization_details',
  ]);
});

test('a root has what was asked of what was granted, and nothing where nothing was asked', async () => {
  const { accessToken } = await consentTo(ACME);
  expect(await detailsOf(accessToken, '')).toBeUndefined();
  const less = pay('20.00', { creditorName: 'ACME <b>' });
  expect(await detailsOf(accessToken, JSON.stringify([less]))).toEqual([less]);
  expect(await codeFor(accessToken, pay('1.00'))).toBe('delegation_scope_widened');
  expect(await codeFor(accessToken, pay('120.01', { creditorName: 'ACME <b>' }))).toBe('delegation_scope_widened');
  expect(await codeFor(accessToken, { type: 'loan' })).toBe('details_unsupported');
});

test('the limit is one for the grant: no two roots can spend it twice, nor roots of a refreshed token', async () => {
  const { accessToken, refreshToken } = await consentTo(pay('100.00'));
  expect(await codeFor(accessToken, pay('60.00'))).toBe('issued');
  expect(await codeFor(accessToken, pay('40.01'))).toBe('details_exhausted');
  const refreshed = await refreshTokens({ issuer: running.issuer, clientId: 'shop-app', refreshToken });
  expect(await codeFor(refreshed.accessToken, pay('50.00'))).toBe('details_exhausted');
  expect(await detailsOf(refreshed.accessToken, '[{"type":"payment"}]')).toEqual([pay('40.00')]);
  expect(await codeFor(accessToken, { type: 'payment' })).toBe('details_exhausted');
  expect(await codeFor(accessToken)).toBe('issued');
});

test('a hundred roots asked for at once take no more than the limit', async () => {
  const { accessToken } = await consentTo(pay('5.00'));
  const codes = await Promise.all(Array.from({ length: 30 }, () => codeFor(accessToken, pay('0.50'))));
  expect(codes.filter((code) => code === 'issued')).toHaveLength(10);
  expect(codes.filter((code) => code === 'details_exhausted')).toHaveLength(20);
});

test('another consent has a limit of its own; the type alone gives nothing where none was granted', async () => {
  const [first, second] = [await consentTo(pay('5.00')), await consentTo(pay('7.00'))];
  expect(await codeFor(first.accessToken, pay('5.00'))).toBe('issued');
  expect(await codeFor(second.accessToken, pay('7.00'))).toBe('issued');
  const none = await consentTo();
  expect(await detailsOf(none.accessToken, '[{"type":"payment"}]')).toBeUndefined();
});

test('what was taken is on disk before the root is out', async () => {
  const { accessToken } = await consentTo(pay('5.00'));
  await rootFor(accessToken, JSON.stringify([pay('3.00')]));
  const { sql, close } = openDatabase(running.dataDir);
  expect(sql.prepare('SELECT spent FROM grant_detail').all()).toEqual([{ spent: '30000' }]);
  close();
});

test('a root that could not be made takes nothing', async () => {
  const { accessToken } = await consentTo(pay('5.00'));
  const before = running.keys.root;
  Object.defineProperty(running.keys, 'root', { configurable: true, value: { ...before, kid: 'k'.repeat(5_000) } });
  expect(await codeFor(accessToken, pay('5.00'))).toBe('delegation_too_large');
  Object.defineProperty(running.keys, 'root', { configurable: true, value: before });
  expect(await codeFor(accessToken, pay('5.00'))).toBe('issued');
});

test('a type that the policy registers is asked, shown and divided like the format’s own', async () => {
  const credits: DetailType = {
    ...{
      type: 'credits',
      title: 'Credits',
      words: 'Use {units} credits',
      rules: { units: 'max' as const },
      spends: 'units',
    },
    schema: {
      type: 'object',
      properties: { type: { const: 'credits' }, units: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['type', 'units'],
      additionalProperties: false,
    },
  };
  running.setSnapshot({ ...testSnapshot(), detail_types: [credits] });
  const { accessToken, consentId } = await consentTo({ type: 'credits', units: 5 });
  expect(running.authority.consents.history(consentId)[0]?.shown).toContain('[x] Use 5 credits');
  expect(await codeFor(accessToken, { type: 'credits', units: 4 })).toBe('issued');
  expect(await codeFor(accessToken, { type: 'credits', units: 2 })).toBe('details_exhausted');
});
