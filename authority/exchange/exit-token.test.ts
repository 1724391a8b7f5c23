import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mintLink, verifyRoot } from '../../delegation/index.ts';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../../policy/index.ts';
import { obtainTokens } from '../headless/index.ts';
import {
  consentOrder,
  exchangeParameters,
  ORDERS,
  type RunningAuthority,
  runAuthority,
  SCOPES,
  STOREFRONT,
  TRUST_DOMAIN,
} from '../testing/running-authority.ts';
import { ACCESS_TOKEN_TYPE, JWT_TYPE, TXN_TOKEN_TYPE } from './exchange.ts';
import type { ExitTokenOrder } from './exit-token.ts';
import { createRootKeyFinder } from './held-chain.ts';

const BANK = 'https://api.bank.example';
const MAIL = 'https://mail.example';
const AUDIT = parseSpiffeId('spiffe://shop.example/inventory');

const MESH = `
trustDomain: shop.example
scopes:
  "orders:read": { title: Read, description: Read }
  "orders:write": { title: Write, description: Write }
  "payments:charge": { title: Charge, description: Charge }
services:
  orders: { owner: o, reason: r, routes: [] }
  inventory: { owner: o, reason: r, routes: [] }
workloads:
  storefront: { owner: o, reason: r, entry: { ceiling: ["orders:read", "orders:write"] } }
edges: [{ from: storefront, to: orders }]
exits:
  bank:
    owner: o
    reason: r
    origin: ${BANK}
    from: [orders, storefront]
    own: { scopes: ["orders:read"] }
    token: { audience: "${BANK}", scopes: { "orders:write": pay, "payments:charge": charge }, ttlS: 300, actor: true }
  mail:
    owner: o
    reason: r
    origin: ${MAIL}
    from: [orders]
    routes: [{ method: POST, path: /mails, scopes: ["orders:read"] }]
    token: { audience: "${MAIL}", scopes: { "orders:read": send }, ttlS: 5, clientId: shop-mailer }
`;
const CEDAR = '@id("out") permit (principal, action == Behalf::Action::"exit", resource);';

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
  running.setSnapshot(snapshotOf(CEDAR));
});
afterEach(() => running.close());

function snapshotOf(cedar: string) {
  return buildSnapshot({ files: { 'mesh.yaml': MESH, 'p.cedar': cedar }, number: 7, issuedAtS: Date.now() / 1000 });
}

/** What `orders` holds of a user's request that came in at the storefront. */
async function held(more: { to?: SpiffeId; narrowTo?: string[]; next?: SpiffeId[]; maxDepth?: number } = {}) {
  const { accessToken, consentId } = await obtainTokens(consentOrder(running.issuer));
  const storefront = await running.workload(STOREFRONT);
  const { txnToken } = await running.authority.exchange(
    exchangeParameters({ subjectToken: accessToken }),
    storefront.caller,
  );
  const root = verifyRoot(txnToken, {
    me: STOREFRONT,
    nowS: running.nowS(),
    clock: { aheadS: 30, graceS: 5 },
    trustDomain: TRUST_DOMAIN,
    issuer: running.issuer,
    audience: `spiffe://${TRUST_DOMAIN}/behalf/delegation`,
    rootKey: createRootKeyFinder(running.keys),
    revoked: () => null,
    fresh: () => undefined,
  });
  const { to = ORDERS, narrowTo = null, next = null, maxDepth = null } = more;
  const chain = mintLink({
    parent: root,
    to,
    narrowTo,
    maxDepth,
    next,
    rte: null,
    once: null,
    signer: storefront.identity.current(),
    nowS: running.nowS(),
    jti: Buffer.alloc(12, 7),
  });
  return { chain, root, consentId };
}

function orderOf(
  {
    txnToken,
    delegationChain,
    delegationCredentials,
  }: Pick<ExitTokenOrder, 'delegationChain' | 'delegationCredentials'> & { txnToken: string },
  more: Partial<ExitTokenOrder> = {},
): ExitTokenOrder {
  return {
    subjectToken: txnToken,
    subjectTokenType: TXN_TOKEN_TYPE,
    delegationChain,
    delegationCredentials,
    audience: BANK,
    scope: SCOPES.join(' '),
    ...more,
  };
}

async function issue(order: ExitTokenOrder, workload: SpiffeId = ORDERS) {
  const { caller } = await running.workload(workload);
  return running.authority.exitTokens(order, caller);
}

async function refusal(order: ExitTokenOrder, workload: SpiffeId = ORDERS): Promise<string> {
  try {
    await issue(order, workload);
    return 'issued';
  } catch (thrown) {
    return codeOf(thrown);
  }
}

test('who holds a chain gets a token for the exit’s audience, of the scopes that are left and mean something there', async () => {
  const { chain, root } = await held();
  const issued = await issue(orderOf(chain));
  const keys = createLocalJWKSet({ keys: [running.keys.token.publicJwk] });
  const { payload, protectedHeader } = await jwtVerify(issued.accessToken, keys, {
    audience: BANK,
    issuer: running.issuer,
  });
  expect(protectedHeader).toMatchObject({ typ: 'at+jwt', alg: 'ES256' });
  expect(payload).toMatchObject({
    client_id: 'shop.example',
    scope: 'pay',
    jti: issued.jti,
    act: { sub: ORDERS, act: { sub: STOREFRONT } },
  });
  expect(payload.sub).toMatch(/^u:[A-Za-z0-9_-]{22}$/);
  expect(payload.sub).not.toBe(root.sub);
  expect(payload.exp).toBeLessThanOrEqual(chain.expS);
  expect(running.events.at(-1)).toMatchObject({
    tokenIssued: {
      exit: 'bank',
      audience: BANK,
      workload: ORDERS,
      jti: issued.jti,
      code: '',
      outsideScope: 'pay',
      policies: ['out'],
      snapshotNumber: 7,
      txn: root.txn,
      personal: { subject: root.sub },
    },
  });
  expect(JSON.stringify(running.events)).not.toContain(issued.accessToken);
});

test('each audience knows the user by another pseudonym, always the same one; the token says no more than the exit does', async () => {
  const { chain } = await held();
  const bank = decodeJwt((await issue(orderOf(chain))).accessToken);
  const again = decodeJwt((await issue(orderOf(chain))).accessToken);
  const mail = decodeJwt((await issue(orderOf(chain, { audience: MAIL }))).accessToken);
  expect(bank.sub).toBe(again.sub);
  expect(mail.sub).not.toBe(bank.sub);
  expect(mail).toMatchObject({ scope: 'send', client_id: 'shop-mailer' });
  expect(mail['act']).toBeUndefined();
  expect((mail.exp ?? 0) - (mail.iat ?? 0)).toBe(5);
  expect(Object.keys(mail).sort()).toEqual(['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub']);
});

test('less is given where less is asked, and nothing that the chain has not left', async () => {
  const { chain } = await held({ narrowTo: ['orders:read'] });
  expect((await issue(orderOf(chain))).scope).toBe('');
  const whole = await held();
  expect((await issue(orderOf(whole.chain, { scope: '' }))).scope).toBe('');
  expect(await refusal(orderOf(whole.chain, { audience: MAIL, scope: 'orders:write' }))).toBe('insufficient_scope');
});

test('the entry workload gets one with the bare root', async () => {
  const { root } = await held();
  const order = orderOf({ txnToken: root.parent.txnToken, delegationChain: '', delegationCredentials: '' });
  const issued = await issue(order, STOREFRONT);
  expect(decodeJwt(issued.accessToken)['act']).toEqual({ sub: STOREFRONT });
  expect(await refusal(order, ORDERS)).toBe('delegation_holder_mismatch');
});

test('a stolen chain gets its thief nothing, an exit of another none either', async () => {
  const { chain } = await held();
  expect(await refusal(orderOf(chain), STOREFRONT)).toBe('delegation_wrong_audience');
  expect(await refusal(orderOf(chain), AUDIT)).toBe('policy_denied');
  expect(await refusal(orderOf(chain, { audience: 'https://evil.example' }))).toBe('policy_denied');
  const tampered = `${chain.delegationChain.slice(0, -6)}AAAAAA`;
  expect(await refusal(orderOf({ ...chain, delegationChain: tampered }))).toBe('delegation_bad_signature');
  expect(running.events.at(-1)).toMatchObject({ tokenIssued: { code: 'delegation_bad_signature', jti: '' } });
});

test('an access token of a client, a deferred or another kind of subject is no delegation in hand', async () => {
  const { chain } = await held();
  expect(await refusal(orderOf(chain, { subjectTokenType: ACCESS_TOKEN_TYPE }))).toBe('request_malformed');
});

test('after the consent is withdrawn, narrowed to nothing of it, or has ended, nothing is made', async () => {
  const { chain, consentId } = await held();
  running.authority.consents.narrow(consentId, ['orders:read'], 'demo');
  expect((await issue(orderOf(chain))).scope).toBe('');
  running.authority.consents.withdraw(consentId, 'demo', '');
  expect(await refusal(orderOf(chain))).toBe('consent_withdrawn');
});

test('a chain that is past its end or that a revocation hits is refused', async () => {
  const { chain, root } = await held();
  await running.authority.takeBack({ kind: 'txn', value: root.txn, reason: '', ban: false, by: 'op' });
  expect(await refusal(orderOf(chain))).toBe('delegation_revoked');
  const later = await held();
  running.advance(70);
  expect(await refusal(orderOf(later.chain))).toBe('delegation_expired');
});

test('limits of the chain on who follows hold for the outside', async () => {
  expect(await refusal(orderOf((await held({ next: [AUDIT] })).chain))).toBe('delegation_broken_chain');
  expect(await refusal(orderOf((await held({ maxDepth: 1 })).chain))).toBe('delegation_too_deep');
});

test('a policy that permits no route of the exit, and a snapshot that is gone, make no token', async () => {
  const { chain } = await held();
  running.setSnapshot(snapshotOf(`${CEDAR} @id("no") forbid (principal, action, resource in Behalf::Exit::"bank");`));
  expect(await refusal(orderOf(chain))).toBe('policy_denied');
  expect(running.events.at(-1)).toMatchObject({ tokenIssued: { code: 'policy_denied', policies: ['no'] } });
  running.setSnapshot(null);
  expect(await refusal(orderOf(chain))).toBe('snapshot_stale');
});

test('a workload gets one on its own authority where the exit says so, with its own WIT alone', async () => {
  const orders = await running.workload(ORDERS);
  const own = {
    ...orderOf({ txnToken: '', delegationChain: '', delegationCredentials: '' }),
    subjectTokenType: JWT_TYPE,
  };
  const order = { ...own, subjectToken: orders.identity.current().wit };
  const issued = await running.authority.exitTokens(order, orders.caller);
  expect(decodeJwt(issued.accessToken)).toMatchObject({ sub: ORDERS, scope: '' });
  await expect(running.authority.exitTokens({ ...order, audience: MAIL }, orders.caller)).rejects.toMatchObject({
    code: 'policy_denied',
  });
  expect(await refusal(order, STOREFRONT)).toBe('entry_proof_invalid');
});

test('such a token opens nothing of ours: no root is made of it, and it is none itself', async () => {
  const { chain } = await held();
  const { accessToken } = await issue(orderOf(chain));
  const { caller } = await running.workload(STOREFRONT);
  const exchange = running.authority.exchange(exchangeParameters({ subjectToken: accessToken }), caller);
  await expect(exchange).rejects.toMatchObject({ code: 'entry_token_invalid' });
  expect(await refusal(orderOf({ ...chain, txnToken: accessToken }))).toBe('delegation_malformed');
});

test('a root of another issuer’s key is refused', async () => {
  const { chain } = await held();
  const [header, payload] = chain.txnToken.split('.');
  const order = orderOf({ ...chain, txnToken: `${header}.${payload}.${'A'.repeat(86)}` });
  expect(['delegation_bad_signature', 'delegation_broken_chain']).toContain(await refusal(order));
});
