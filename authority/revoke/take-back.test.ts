/** What an operator takes back: the mesh is told, and nothing here makes it again. */
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseRoot } from '../../delegation/root/index.ts';
import { partId } from '../../identity/index.ts';
import { connectService, createGrpcServer, type GrpcServer, type ServiceClient } from '../../identity/mtls/index.ts';
import { type Revocations, revocations } from '../../proto/behalf/authority/v1/authority.ts';
import type { ExchangeCaller } from '../exchange/exchange.ts';
import { obtainTokens } from '../headless/index.ts';
import { openKeys } from '../keys/keys.ts';
import {
  consentOrder,
  exchangeParameters,
  type RunningAuthority,
  runAuthority,
  STOREFRONT,
  TRUST_DOMAIN,
} from '../testing/running-authority.ts';
import { serveRevocations } from './serve-revocations.ts';

const log = pino({ level: 'silent' });
const OPERATOR = 'spiffe://shop.example/behalf/operator/ada';

let running: RunningAuthority;
let grpc: GrpcServer;
let operator: ServiceClient<Revocations>;
let other: ServiceClient<Revocations>;
let entry: ExchangeCaller;

beforeEach(async () => {
  running = await runAuthority();
  grpc = createGrpcServer({ identity: await running.ca.issue(partId(TRUST_DOMAIN, 'authority')), log });
  grpc.add(revocations, serveRevocations({ ...running.authority, trustDomain: TRUST_DOMAIN }));
  const address = `127.0.0.1:${await grpc.listen({ host: '127.0.0.1', port: 0 })}`;
  const clientOf = async (id: string) =>
    connectService(revocations, {
      address,
      identity: await running.ca.issue(id),
      expect: partId(TRUST_DOMAIN, 'authority'),
      log,
    });
  operator = await clientOf(OPERATOR);
  other = await clientOf(STOREFRONT);
  entry = (await running.workload(STOREFRONT)).caller;
});
afterEach(async () => {
  operator.close();
  other.close();
  await grpc.close();
  await running.close();
});

const tokens = (account: string, clientId = 'shop-app') =>
  obtainTokens(consentOrder(running.issuer, { clientId, account, purpose: '', durationS: 600 }));

const exchange = (subjectToken: string) =>
  running.authority.exchange(exchangeParameters({ subjectToken, scope: 'orders:read' }), entry);

const subjectOf = (name: string): string =>
  running.authority.subjectOf(running.authority.accounts.idOf(name) as string);

const lastStated = () => running.stated.at(-1)?.revocation;

test('a user who is contained loses every token; others and the user’s consents stay', async () => {
  const mine = await tokens('demo');
  const theirs = await tokens('second');
  const answer = await operator.revoke({ kind: 'sub', value: subjectOf('demo'), reason: 'phone lost' });
  expect(answer).toMatchObject({ number: 1, grantsEnded: 1 });
  expect(lastStated()).toMatchObject({ kind: 'sub', value: subjectOf('demo') });
  await expect(exchange(mine.accessToken)).rejects.toMatchObject({ code: 'entry_token_invalid' });
  expect(running.authority.consents.get(mine.consentId)?.state).toBe('active');
  await exchange(theirs.accessToken);
  // Not banned: who signs in again is let in again.
  await exchange((await tokens('demo')).accessToken);
  const [event] = running.events.filter(({ body }) => body === 'revocation');
  expect(event).toMatchObject({ revocation: { kind: 'sub', number: 1, by: OPERATOR, reason: 'phone lost' } });
  expect(JSON.stringify(event)).not.toContain(subjectOf('demo'));
});

test('a client that is contained loses the tokens of every user, and no other client does', async () => {
  const first = await tokens('demo');
  const second = await tokens('second');
  const elsewhere = await tokens('demo', 'other-app');
  expect(await operator.revoke({ kind: 'client', value: 'shop-app', reason: '' })).toMatchObject({ grantsEnded: 2 });
  for (const { accessToken } of [first, second])
    await expect(exchange(accessToken)).rejects.toMatchObject({ code: 'entry_token_invalid' });
  await exchange(elsewhere.accessToken);
});

test('a ban lasts until it is lifted, beyond a new sign-in', async () => {
  for (const [kind, value] of [
    ['sub', subjectOf('demo')],
    ['client', 'shop-app'],
  ] as const) {
    await operator.revoke({ kind, value, reason: 'breach', ban: true });
    expect((await operator.listBans({})).bans).toMatchObject([{ kind, value, by: OPERATOR, reason: 'breach' }]);
    const again = await tokens('demo');
    await expect(exchange(again.accessToken)).rejects.toMatchObject({ code: 'entry_token_invalid' });
    await operator.liftBan({ kind, value });
    await exchange(again.accessToken);
    await expect(operator.liftBan({ kind, value })).rejects.toMatchObject({ code: 'not_found' });
  }
});

test('a consent is withdrawn with its tokens, a grant ends, a transaction ends alone', async () => {
  const { accessToken, consentId } = await tokens('demo');
  const root = parseRoot((await exchange(accessToken)).txnToken).claims;
  await operator.revoke({ kind: 'txn', value: root.txn, reason: '' });
  expect(lastStated()).toMatchObject({ kind: 'txn', value: root.txn });
  await exchange(accessToken);
  const grant = String(root.tctx.grant);
  expect(await operator.revoke({ kind: 'grant', value: grant, reason: '' })).toMatchObject({ grantsEnded: 1 });
  await expect(exchange(accessToken)).rejects.toMatchObject({ code: 'entry_token_invalid' });
  await operator.revoke({ kind: 'consent', value: consentId, reason: 'no more' });
  expect(running.authority.consents.get(consentId)?.state).toBe('withdrawn');
  // Once more is no fault: it may still be running somewhere.
  await operator.revoke({ kind: 'consent', value: consentId, reason: 'again' });
  expect(running.stated.map(({ revocation }) => revocation.kind)).toEqual(['txn', 'grant', 'consent', 'consent']);
});

test('a root key that is revoked is hit whatever time its thief writes, and another one signs from then on', async () => {
  const { accessToken } = await tokens('demo');
  const { kid } = running.keys.root;
  const { nextKid } = await operator.revoke({ kind: 'kid', value: kid, reason: 'backup stolen' });
  expect(lastStated()?.before).toBeGreaterThan(running.nowS() + 86_400);
  expect(nextKid).not.toBe(kid);
  expect(parseRoot((await exchange(accessToken)).txnToken).kid).toBe(nextKid);
  const { keys } = (await (await fetch(`${running.issuer}/jwks`)).json()) as { keys: { kid: string }[] };
  expect(keys.map((key) => key.kid)).toContain(nextKid);
  expect(keys.map((key) => key.kid)).not.toContain(kid);
});

test('a new root key is kept before it is used', () => {
  const { dataDir } = running;
  const { next } = running.keys.replaceRoot();
  expect(running.keys.root.kid).not.toBe(next.kid);
  expect(openKeys(dataDir, 'a passphrase for tests').root.kid).toBe(next.kid);
});

test('what is unknown, misplaced or asked by others is refused by code', async () => {
  const refused = (kind: string, value: string, ban = false) => operator.revoke({ kind, value, reason: '', ban });
  await expect(refused('sub', 'u:nobody')).rejects.toMatchObject({ code: 'not_found' });
  await expect(refused('consent', 'c:none')).rejects.toMatchObject({ code: 'not_found' });
  await expect(refused('kid', 'none')).rejects.toMatchObject({ code: 'not_found' });
  await expect(refused('workload', STOREFRONT)).rejects.toMatchObject({ code: 'request_malformed' });
  await expect(refused('txn', 't', true)).rejects.toMatchObject({ code: 'request_malformed' });
  await expect(refused('txn', '')).rejects.toMatchObject({ code: 'request_malformed' });
  await expect(other.revoke({ kind: 'txn', value: 't', reason: '' })).rejects.toMatchObject({ code: 'policy_denied' });
  await expect(other.listBans({})).rejects.toMatchObject({ code: 'policy_denied' });
  expect(running.stated).toEqual([]);
});
