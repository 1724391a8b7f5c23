/** Tokens of the organisation's own OpenID provider, which is a real one here, and the consent that they rest on. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRoot } from '../../delegation/root/index.ts';
import { BehalfError, codeOf } from '../../errors/index.ts';
import { createOAuthStore } from '../store/oauth-adapter.ts';
import {
  OTHER_AUDIENCE,
  OTHER_CLIENT,
  type OtherProvider,
  type OtherToken,
  startOtherProvider,
} from '../testing/other-provider.ts';
import {
  exchangeParameters,
  type RunningAuthority,
  runAuthority,
  STOREFRONT,
  testSnapshot,
} from '../testing/running-authority.ts';
import type { UpstreamClientConfig, UpstreamIssuerConfig } from './config.ts';
import { createPresentedTokens } from './upstream-tokens.ts';

let other: OtherProvider;
let running: RunningAuthority;
beforeEach(async () => {
  other = await startOtherProvider();
  running = await runAuthority({ upstreamIssuers: [configOf()] });
});
afterEach(async () => {
  await running.close();
  await other.close();
});

const CLIENT: UpstreamClientConfig = {
  id: 'portal',
  upstreamId: OTHER_CLIENT,
  name: 'Portal',
  scopes: ['orders:read'],
  purpose: 'staff portal',
  until: new Date(Date.now() + 86_400_000).toISOString(),
  owner: 'it',
  reason: 'works agreement 12',
};

const configOf = (more: Partial<UpstreamIssuerConfig> = {}): UpstreamIssuerConfig => ({
  issuer: other.issuer,
  audience: OTHER_AUDIENCE,
  clients: [CLIENT],
  ...more,
});

async function restart(more: Partial<UpstreamIssuerConfig>): Promise<void> {
  await running.close();
  running = await runAuthority({ upstreamIssuers: [configOf(more)] });
}

async function exchange(subjectToken: string) {
  const { caller } = await running.workload(STOREFRONT);
  const issued = await running.authority.exchange(
    exchangeParameters({ subjectToken, scope: 'orders:read orders:write' }),
    caller,
  );
  return parseRoot(issued.txnToken).claims;
}

const outcome = (token: string): Promise<string> => exchange(token).then(() => 'issued', codeOf);
const tokenOf = (more: Partial<OtherToken> = {}): Promise<string> =>
  other.accessToken({ account: 'staff-7', scope: 'orders:read orders:write openid', ...more });
const claims = (more: Record<string, unknown> = {}) => ({
  iss: other.issuer,
  aud: OTHER_AUDIENCE,
  sub: 'staff-7',
  client_id: OTHER_CLIENT,
  scope: 'orders:read',
  iat: running.nowS(),
  exp: running.nowS() + 300,
  ...more,
});

test('an issuer that the policy does not name is none, as sidecars would not know its tokens inside the mesh', async () => {
  running.setSnapshot(testSnapshot());
  expect(await outcome(await tokenOf())).toBe('entry_token_invalid');
  running.setSnapshot({ ...testSnapshot(), token_issuers: [other.issuer] });
  expect(await outcome(await tokenOf())).toBe('issued');
});

test('its token becomes a root within what the administrator consented to, and the consent is on record', async () => {
  const root = await exchange(await tokenOf());
  const [consent] = running.authority.consents.list(null);
  expect(root).toMatchObject({ scope: 'orders:read' });
  expect(root.tctx).toMatchObject({
    client_id: 'portal',
    purpose: 'staff portal',
    consent: { id: consent?.id, version: 1 },
  });
  expect(root.sub).toBe(running.authority.subjectOf(consent?.account ?? ''));
  expect(root.sub).toMatch(/^u:/);
  expect(running.authority.accounts.nameOf(consent?.account ?? '')).toBe(`${other.issuer}#staff-7`);
  const [change] = running.authority.consents.history(consent?.id ?? '');
  expect(change).toMatchObject({ change: 'granted', by: 'administrator', reason: 'works agreement 12' });
  expect(running.events).toMatchObject([{ body: 'consent', consent: { change: 'granted' } }]);
});

test('all tokens of a user and a client rest on one consent, also where they come at once', async () => {
  const tokens = await Promise.all([tokenOf(), tokenOf(), tokenOf({ account: 'staff-8' })]);
  const roots = await Promise.all(tokens.map(exchange));
  expect(running.authority.consents.list(null).length).toBe(2);
  expect(roots[0]?.sub).toBe(roots[1]?.sub);
  expect(roots[2]?.sub).not.toBe(roots[0]?.sub);
});

test('a withdrawal is stated, and neither the same token nor a later one brings a root again', async () => {
  const token = await tokenOf();
  await exchange(token);
  const [consent] = running.authority.consents.list(null);
  await running.authority.changes.withdraw(consent?.id ?? '', 'user', '');
  expect(running.stated).toMatchObject([{ revocation: { kind: 'consent', value: consent?.id } }]);
  expect(await outcome(token)).toBe('consent_withdrawn');
  expect(await outcome(await tokenOf())).toBe('consent_withdrawn');
  expect(running.authority.consents.list(null).length).toBe(1);
});

test('what was narrowed stays narrowed', async () => {
  await restart({ clients: [{ ...CLIENT, scopes: ['orders:read', 'orders:write'] }] });
  expect((await exchange(await tokenOf())).scope).toBe('orders:read orders:write');
  const [consent] = running.authority.consents.list(null);
  await running.authority.changes.narrow(consent?.id ?? '', ['orders:write'], 'user');
  const root = await exchange(await tokenOf());
  expect(root).toMatchObject({ scope: 'orders:write', tctx: { consent: { id: consent?.id, version: 2 } } });
});

test('a user who is taken back comes in again with a token that is made after, and no earlier one', async () => {
  const token = await tokenOf();
  const { sub } = await exchange(token);
  const order = { kind: 'sub', value: sub, by: 'operator', reason: 'stolen laptop', ban: false } as const;
  expect(await running.authority.takeBack(order)).toMatchObject({ grantsEnded: 1 });
  expect(await outcome(token)).toBe('entry_token_invalid');
  // Their clock may be ahead of ours.
  expect(await outcome(await other.sign(claims({ iat: running.nowS() + 4 })))).toBe('entry_token_invalid');
  running.advance(10);
  const later = await other.sign(claims());
  expect(await outcome(later)).toBe('issued');
  expect(await outcome(token)).toBe('entry_token_invalid');
  await running.authority.takeBack({ ...order, ban: true });
  running.advance(10);
  expect(await outcome(await other.sign(claims()))).toBe('entry_token_invalid');
});

test('who takes back a user or a client takes back the tokens too that were not shown here yet', async () => {
  const portal2 = { ...CLIENT, id: 'portal-2', upstreamId: 'portal-2' };
  await restart({ clients: [CLIENT, portal2] });
  const { sub } = await exchange(await tokenOf());
  const elsewhere = await other.sign(claims({ client_id: 'portal-2' }));
  const user = { kind: 'sub', value: sub, by: 'operator', reason: 'stolen laptop', ban: false } as const;
  await running.authority.takeBack(user);
  // Another client's, of which the mesh knows nothing yet: no consent is made of it either.
  expect(await outcome(elsewhere)).toBe('entry_token_invalid');
  expect(running.authority.consents.list(null).length).toBe(1);
  running.advance(10);
  const between = await other.sign(claims());
  running.advance(10);
  await running.authority.takeBack(user);
  expect(await outcome(between)).toBe('entry_token_invalid');
  running.advance(10);
  const [ofAnother, again] = [await other.sign(claims({ sub: 'staff-8' })), await other.sign(claims())];
  expect(await outcome(again)).toBe('issued');
  await running.authority.takeBack({ ...user, kind: 'client', value: 'portal' });
  expect(await outcome(ofAnother)).toBe('entry_token_invalid');
  expect(await outcome(again)).toBe('entry_token_invalid');
  running.advance(10);
  expect(await outcome(await other.sign(claims({ sub: 'staff-8' })))).toBe('issued');
});

test('what was withdrawn is given anew after `since`, and not to tokens from before', async () => {
  const token = await other.sign(claims());
  await exchange(token);
  const [consent] = running.authority.consents.list(null);
  await running.authority.changes.withdraw(consent?.id ?? '', 'user', '');
  running.advance(10);
  const { authority, database } = running;
  const since = new Date(running.nowS() * 1000).toISOString();
  const config = configOf({ clients: [{ ...CLIENT, since }] });
  const presented = createPresentedTokens({
    ...authority,
    issuers: [config],
    own: null as never,
    oauth: createOAuthStore(database, running.nowS, () => undefined),
    named: () => [other.issuer],
    clock: running.nowS,
  });
  await expect(presented.verify(token)).rejects.toThrow(/consent_withdrawn/);
  expect((await presented.verify(await other.sign(claims()))).clientId).toBe('portal');
  await expect(presented.verify(token)).rejects.toThrow(/consent_withdrawn/);
  expect(authority.consents.list(null).length).toBe(2);
});

test('nothing is issued on a consent that is not on record, whichever token comes next', async () => {
  running.failRecord(true);
  const token = await other.sign(claims());
  expect(await outcome(token)).toBe('audit_unavailable');
  expect(await outcome(token)).toBe('audit_unavailable');
  running.failRecord(false);
  expect(await outcome(token)).toBe('issued');
  expect(running.events).toMatchObject([{ body: 'consent', consent: { change: 'granted' } }]);
  expect(running.authority.consents.list(null).length).toBe(1);
});

test('tokens that are not for us, or not such tokens, are refused', async () => {
  expect(await outcome(await other.sign(claims()))).toBe('issued');
  for (const [said, code] of [
    [{ aud: 'https://other.example' }, 'entry_token_invalid'],
    [{ client_id: 'another' }, 'entry_token_invalid'],
    [{ client_id: undefined }, 'entry_token_invalid'],
    [{ sub: '' }, 'entry_token_invalid'],
    [{ sub: 'x'.repeat(256) }, 'entry_token_invalid'],
    [{ sub: '\ud800' }, 'entry_token_invalid'],
    [{ sub: 'staff\u001b[2J' }, 'entry_token_invalid'],
    [{ sub: 'staff\u202e7' }, 'entry_token_invalid'],
    [{ aud: [OTHER_CLIENT] }, 'entry_token_invalid'],
    [{ aud: [OTHER_CLIENT, OTHER_AUDIENCE] }, 'issued'],
    [{ exp: running.nowS() + 60.5, iat: running.nowS() - 0.5 }, 'issued'],
    [{ exp: running.nowS() - 10 }, 'entry_token_expired'],
    [{ exp: undefined }, 'entry_token_invalid'],
    [{ iat: undefined }, 'entry_token_invalid'],
    [{ nbf: running.nowS() + 60 }, 'entry_token_invalid'],
    [{ exp: running.nowS() + 90_000 }, 'entry_token_invalid'],
    [{ nonce: 'n' }, 'entry_token_invalid'],
    [{ at_hash: 'h' }, 'entry_token_invalid'],
    [{ cnf: { jwk: {} } }, 'entry_token_invalid'],
    [{ cnf: { jkt: 'x' } }, 'entry_proof_invalid'],
    [{ cnf: { 'x5t#S256': 'x' } }, 'entry_proof_invalid'],
    [{ iss: running.issuer }, 'entry_token_invalid'],
    [{ iss: 'http://127.0.0.1:1' }, 'entry_token_invalid'],
  ] as const)
    expect(await outcome(await other.sign(claims(said))), JSON.stringify(said)).toBe(code);
  const good = await other.sign(claims());
  expect(await outcome(await other.sign(claims(), { typ: 'JWT' }))).toBe('entry_token_invalid');
  expect(await outcome(await other.sign(claims(), { kid: 'unknown' }))).toBe('entry_token_invalid');
  expect(await outcome(`${good.slice(0, -4)}AAAA`)).toBe('entry_token_invalid');
  const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
  expect(await outcome(`${none}.${good.split('.')[1]}.`)).toBe('entry_token_invalid');
  const ours = Buffer.from('{"alg":"HS256","typ":"at+jwt"}').toString('base64url');
  expect(await outcome(`${ours}.${good.split('.')[1]}.${good.split('.')[2]}`)).toBe('entry_token_invalid');
});

test('other claims and scopes are mapped as the configuration says, and an ID token only where it says so', async () => {
  const mapped = {
    subject: 'oid',
    client: 'appid',
    scopes: 'roles',
    scopeMap: { 'Orders.Read': ['orders:read'], constructor: [] },
  };
  await restart({ tokenType: 'JWT', claims: mapped });
  const said = claims({
    oid: 'o-1',
    appid: OTHER_CLIENT,
    roles: ['Orders.Read', 'toString', 'orders:write'],
    scope: '',
  });
  const root = await exchange(await other.sign(said, { typ: 'JWT' }));
  expect(root.scope).toBe('orders:read');
  expect(await outcome(await other.sign({ ...said, nonce: 'n' }, { typ: 'JWT' }))).toBe('entry_token_invalid');
  // An ID token may have the mesh beside its client as audiences.
  const toBoth = await other.sign({ ...said, aud: [OTHER_CLIENT, OTHER_AUDIENCE] }, { typ: 'JWT' });
  expect(await outcome(toBoth)).toBe('entry_token_invalid');
  expect(await outcome(await other.sign(said, { typ: 'secevent+jwt' }))).toBe('entry_token_invalid');
  await restart({ tokenType: 'id_token', audience: OTHER_CLIENT });
  const id = claims({ aud: OTHER_CLIENT, azp: OTHER_CLIENT, client_id: undefined, nonce: 'n', at_hash: 'h' });
  expect(await outcome(await other.sign(id, { typ: 'JWT' }))).toBe('issued');
});

test('while the provider cannot be reached its users wait, and ours do not notice', async () => {
  const token = await tokenOf();
  await other.close();
  expect(await outcome(token)).toBe('trust_unavailable');
  other = await startOtherProvider();
});

test('metadata that send us elsewhere for keys are no metadata', async () => {
  let metadata: object = {};
  const server = createServer((_request, response) => response.end(JSON.stringify(metadata)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (metadata of [
    { issuer, jwks_uri: 'http://id.example/jwks' },
    { issuer, jwks_uri: 'ftp://localhost/jwks' },
    { issuer: other.issuer, jwks_uri: `${other.issuer}/jwks` },
  ]) {
    await restart({ issuer });
    expect(await outcome(await other.sign(claims({ iss: issuer }))), JSON.stringify(metadata)).toBe(
      'trust_unavailable',
    );
  }
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a provider that fails is left alone for a while, whoever sends tokens in its name', async () => {
  let asked = 0;
  const server = createServer((request, response) => {
    if (request.url === '/jwks') asked += 1;
    response.writeHead(request.url === '/jwks' ? 500 : 200).end(JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks` }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await restart({ issuer });
  const token = await other.sign(claims({ iss: issuer }));
  for (let i = 0; i < 20; i++) expect(await outcome(token)).toBe('trust_unavailable');
  // Once every 3 s, however slow this machine is.
  expect(asked).toBeLessThan(10);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('configurations that could be misread are refused', async () => {
  const refused = async (upstreamIssuers: UpstreamIssuerConfig[]): Promise<string> => {
    const started = await runAuthority({ upstreamIssuers }).catch((error: unknown) => error);
    if (started instanceof BehalfError) return started.code;
    await (started as RunningAuthority).close();
    return 'taken';
  };
  expect(await refused([configOf(), configOf()])).toBe('config_invalid');
  expect(await refused([configOf({ issuer: 'http://id.example' })])).toBe('config_invalid');
  expect(await refused([configOf({ issuer: 'https://id.example#staff' })])).toBe('config_invalid');
  expect(await refused([configOf({ issuer: 'https://id.example?of=staff' })])).toBe('config_invalid');
  expect(await refused([configOf({ clients: [{ ...CLIENT, id: 'shop-app' }] })])).toBe('config_invalid');
  expect(await refused([configOf({ clients: [{ ...CLIENT, until: 'soon' }] })])).toBe('config_invalid');
  const own = 'http://127.0.0.1:9';
  await expect(runAuthority({ issuer: own, upstreamIssuers: [configOf({ issuer: own })] })).rejects.toThrow(
    /config_invalid/,
  );
});
