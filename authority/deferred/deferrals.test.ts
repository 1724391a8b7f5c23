import { afterEach, beforeEach, expect, test } from 'vitest';
import { mintLink, type VerifiedRoot, verifyRoot } from '../../delegation/index.ts';
import { parseRoot } from '../../delegation/root/index.ts';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../../policy/index.ts';
import { ACCESS_TOKEN_TYPE, DEFERRED_TYPE, type ExchangeParameters, TXN_TOKEN_TYPE } from '../exchange/exchange.ts';
import { createRootKeyFinder } from '../exchange/held-chain.ts';
import { openBrowser } from '../headless/browser.ts';
import { obtainTokens } from '../headless/index.ts';
import {
  consentOrder,
  exchangeParameters,
  ORDERS,
  PASSWORD,
  type RunningAuthority,
  runAuthority,
  SCOPES,
  STOREFRONT,
  TRUST_DOMAIN,
} from '../testing/running-authority.ts';
import type { DeferOrder } from './deferrals.ts';

const INVENTORY = parseSpiffeId('spiffe://shop.example/inventory');
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
  orders: { owner: o, reason: r, deferrable: true }
  inventory: { owner: o, reason: r }
edges: [{ from: storefront, to: orders }]
`;

let running: RunningAuthority;
beforeEach(async () => {
  running = await runAuthority();
  running.setSnapshot(buildSnapshot({ files: { 'mesh.yaml': MESH }, number: 7, issuedAtS: Date.now() / 1000 }));
});
afterEach(() => running.close());

const parameters = (more: Partial<ExchangeParameters>): ExchangeParameters =>
  exchangeParameters({ subjectTokenType: DEFERRED_TYPE, scope: '', ...more });

function rootOf(txnToken: string, me: SpiffeId): VerifiedRoot {
  return verifyRoot(txnToken, {
    me,
    nowS: running.nowS(),
    clock: { aheadS: 30, graceS: 5 },
    trustDomain: TRUST_DOMAIN,
    issuer: running.issuer,
    audience: `spiffe://${TRUST_DOMAIN}/behalf/delegation`,
    rootKey: createRootKeyFinder(running.keys),
    revoked: () => null,
    fresh: () => undefined,
  });
}

interface Wish extends Partial<DeferOrder> {
  /** Details that the user grants and the storefront hands on, as JSON text. */
  readonly granted?: string;
  readonly client?: string;
  readonly deferrable?: boolean;
  readonly to?: SpiffeId;
  readonly next?: SpiffeId[];
  readonly narrowTo?: string[];
}

/** What `orders` holds of a user's request that came in at the storefront, and what it may ask with it. */
async function held({
  client = 'other-app',
  deferrable = true,
  to = ORDERS,
  next,
  narrowTo,
  granted,
  ...more
}: Wish = {}) {
  const { accessToken, consentId } = await obtainTokens(
    consentOrder(running.issuer, {
      clientId: client,
      deferrable,
      ...(granted === undefined ? {} : { details: granted }),
    }),
  );
  const storefront = await running.workload(STOREFRONT);
  const order = parameters({
    subjectToken: accessToken,
    subjectTokenType: ACCESS_TOKEN_TYPE,
    scope: SCOPES.join(' '),
    ...(granted === undefined ? {} : { authorizationDetails: granted }),
  });
  const root = rootOf((await running.authority.exchange(order, storefront.caller)).txnToken, STOREFRONT);
  const chain = mintLink({
    parent: root,
    to,
    narrowTo: narrowTo ?? null,
    ...(granted === undefined ? {} : { details: JSON.parse(granted) }),
    maxDepth: null,
    next: next ?? null,
    rte: null,
    once: null,
    signer: storefront.identity.current(),
    nowS: running.nowS(),
    jti: Buffer.alloc(12, 7),
  });
  const { identity, caller } = await running.workload(to);
  const holder = { ...caller, issuedS: running.nowS() };
  const asked: DeferOrder = {
    txnToken: chain.txnToken,
    delegationChain: chain.delegationChain,
    delegationCredentials: chain.delegationCredentials,
    purpose: 'pack the parcel',
    maxS: 0,
    uses: 0,
    scope: null,
    authorizationDetails: '',
    ...more,
  };
  return { asked, holder, identity, root, consentId, storefront };
}

async function deferred(wish: Wish = {}) {
  const what = await held(wish);
  return { ...what, ...(await running.authority.deferrals.defer(what.asked, what.holder)) };
}

const resume = (reference: string, id: SpiffeId = ORDERS) =>
  running.authority.exchange(parameters({ subjectToken: reference }), { id, certificateS256: 'c'.repeat(43) });
const codeOfCall = (call: Promise<unknown>): Promise<string> => call.then(() => 'done', codeOf);
const changes = () => running.events.flatMap((event) => (event.body === 'deferred' ? [event.deferred.change] : []));

test('who takes it up may ask for less, also for no scope at all', async () => {
  const { reference } = await deferred();
  const asked = parameters({ subjectToken: reference, narrows: true });
  const root = await running.authority.exchange(asked, { id: ORDERS, certificateS256: 'c'.repeat(43) });
  expect(parseRoot(root.txnToken).claims.scope).toBe('');
});

test('an entry that asks for no details gets none of what may be spent', async () => {
  const granted = JSON.stringify([{ type: 'payment', limit: { currency: 'EUR', amount: '50.00' } }]);
  const detailsOf = async (narrows: boolean, authorizationDetails = '') => {
    const { reference } = await deferred({ granted, authorizationDetails: granted });
    const asked = parameters({ subjectToken: reference, narrows, scope: 'orders:read', authorizationDetails });
    const { txnToken } = await running.authority.exchange(asked, { id: ORDERS, certificateS256: 'c'.repeat(43) });
    return parseRoot(txnToken).claims.tctx.authorization_details;
  };
  expect(await detailsOf(true)).toBeUndefined();
  expect(await detailsOf(true, '[{"type":"payment"}]')).toEqual(JSON.parse(granted));
  expect(await detailsOf(false)).toEqual(JSON.parse(granted));
});

test('what a chain may spend is put off once, in one piece or in several', async () => {
  const pay = (amount: string, creditorName: string) => ({
    type: 'payment',
    limit: { currency: 'EUR', amount },
    creditorName,
  });
  const granted = JSON.stringify([pay('50.00', 'ACME'), pay('50.00', 'BOB')]);
  const { asked, holder } = await held({ granted });
  const defer = (...entries: object[]) =>
    codeOfCall(running.authority.deferrals.defer({ ...asked, authorizationDetails: JSON.stringify(entries) }, holder));
  expect(await defer(pay('30.00', 'ACME'))).toBe('done');
  expect(await defer(pay('20.01', 'ACME'))).toBe('details_exhausted');
  expect(await defer(pay('20.00', 'ACME'), pay('50.00', 'BOB'))).toBe('done');
  expect(await defer({ type: 'payment' })).toBe('details_exhausted');
  // What spends nothing goes on as before, and another request has details of its own.
  expect(await codeOfCall(running.authority.deferrals.defer(asked, holder))).toBe('done');
  const another = await held({ granted });
  const all = { ...another.asked, authorizationDetails: '[{"type":"payment"}]' };
  expect(await codeOfCall(running.authority.deferrals.defer(all, another.holder))).toBe('done');
});

test('a chain is put off and taken up: its own txn, the old one’s depth and workloads, and no more than was left', async () => {
  const { reference, grant, root } = await deferred({ narrowTo: ['orders:read'], next: [INVENTORY] });
  expect(grant).toMatchObject({ uses: 1, state: 'standing', holder: ORDERS, txn: root.txn });
  expect(grant.untilS - grant.madeS).toBe(600);
  running.advance(300);
  const { claims } = parseRoot((await resume(reference)).txnToken);
  expect(claims).toMatchObject({ req_wl: ORDERS, sub: root.sub, scope: 'orders:read' });
  expect(claims.txn).not.toBe(root.txn);
  expect(claims.tctx).toMatchObject({
    client_id: 'other-app',
    purpose: 'buy a book',
    grant: root.grant,
    deferred: { ref: grant.id, txn: root.txn, depth: 1, wl: [STOREFRONT], next: [INVENTORY] },
  });
  expect(await codeOfCall(resume(reference))).toBe('deferred_exhausted');
  expect(changes()).toEqual(['deferred', 'resumed', 'refused']);
  expect(running.events.at(-2)).toMatchObject({
    deferred: { txn: root.txn, newTxn: claims.txn, usesLeft: 0, actors: [STOREFRONT, ORDERS], depth: 1 },
  });
});

test('the reference is on no disk, in no event and in no list', async () => {
  const { reference, grant } = await deferred();
  const rows = running.database.sql.prepare('SELECT * FROM deferred').all();
  expect(JSON.stringify([rows, running.events, grant])).not.toContain(reference);
  expect(Buffer.from(reference, 'base64url')).toHaveLength(32);
});

test('a stolen reference is unknown to every other workload, and the attempt is on record', async () => {
  const { reference } = await deferred();
  expect(await codeOfCall(resume(reference, STOREFRONT))).toBe('deferred_unknown');
  expect(running.events.at(-1)).toMatchObject({
    deferred: { change: 'refused', caller: STOREFRONT, holder: ORDERS, code: 'deferred_unknown' },
  });
  // Trying on fills no record: once a minute is told.
  expect(await codeOfCall(resume(reference, STOREFRONT))).toBe('deferred_unknown');
  expect(changes().filter((change) => change === 'refused')).toHaveLength(1);
  running.advance(61);
  expect(await codeOfCall(resume(reference, STOREFRONT))).toBe('deferred_unknown');
  expect(changes().filter((change) => change === 'refused')).toHaveLength(2);
  expect(await codeOfCall(resume('A'.repeat(43)))).toBe('deferred_unknown');
  expect(await codeOfCall(resume('A'.repeat(8_000)))).toBe('deferred_unknown');
  expect(await codeOfCall(resume(reference))).toBe('done');
});

test('of ten at once on the last use one gets it', async () => {
  const { reference } = await deferred({ uses: 2 });
  await resume(reference);
  const outcomes = await Promise.all(Array.from({ length: 10 }, () => codeOfCall(resume(reference))));
  expect(outcomes.filter((code) => code === 'done')).toHaveLength(1);
  expect(new Set(outcomes)).toEqual(new Set(['done', 'deferred_exhausted']));
});

test('nobody puts off what the user or the policy does not let, or more of it', async () => {
  const { defer } = running.authority.deferrals;
  const attempt = async (wish: Wish) => {
    const { asked, holder } = await held(wish);
    return codeOfCall(defer(asked, holder));
  };
  expect(await attempt({ deferrable: false })).toBe('not_deferrable');
  expect(await attempt({ client: 'shop-app' })).toBe('not_deferrable');
  expect(await attempt({ to: INVENTORY })).toBe('policy_denied');
  expect(await attempt({ maxS: 601 })).toBe('not_deferrable');
  expect(await attempt({ uses: 4 })).toBe('not_deferrable');
  expect(await attempt({ scope: 'payments:charge' })).toBe('delegation_scope_widened');
  expect(await attempt({ purpose: 'a\nb' })).toBe('request_malformed');
  expect(changes()).toEqual([]);
});

test('only who holds the chain may put it off', async () => {
  const { asked, storefront, root } = await held();
  const other = { ...storefront.caller, issuedS: running.nowS() };
  const { defer } = running.authority.deferrals;
  const policy = MESH.replace('orders: { owner: o, reason: r, deferrable: true }', 'orders: { owner: o, reason: r }');
  const both = policy.replace(
    'ceiling: ["orders:read", "orders:write"] }',
    'ceiling: ["orders:read"] }, deferrable: true',
  );
  running.setSnapshot(buildSnapshot({ files: { 'mesh.yaml': both }, number: 8, issuedAtS: Date.now() / 1000 }));
  expect(await codeOfCall(defer(asked, other))).toBe('delegation_wrong_audience');
  // The entry itself holds the bare root.
  const bare = { ...asked, txnToken: root.parent.txnToken, delegationChain: '', delegationCredentials: '' };
  expect(await codeOfCall(defer(bare, other))).toBe('done');
});

test('what was put off once is not put off again', async () => {
  const { reference, asked, holder } = await deferred();
  const { txnToken } = await resume(reference);
  const again = { ...asked, txnToken, delegationChain: '', delegationCredentials: '' };
  expect(await codeOfCall(running.authority.deferrals.defer(again, holder))).toBe('not_deferrable');
});

test('its time ends it, and so does the policy that lets its workload no more', async () => {
  const { reference } = await deferred({ maxS: 60 });
  const other = await deferred();
  running.advance(61);
  expect(await codeOfCall(resume(reference))).toBe('deferred_expired');
  await running.authority.sweep();
  expect(changes().at(-1)).toBe('expired');
  expect(await codeOfCall(resume(reference))).toBe('deferred_expired');
  const without = MESH.replace(', deferrable: true', '');
  running.setSnapshot(buildSnapshot({ files: { 'mesh.yaml': without }, number: 8, issuedAtS: Date.now() / 1000 }));
  expect(await codeOfCall(resume(other.reference))).toBe('policy_denied');
});

test('a withdrawn consent, a revoked grant, client, user or transaction end it', async () => {
  const one = await deferred();
  await running.authority.changes.withdraw(one.consentId, 'user', '');
  expect(await codeOfCall(resume(one.reference))).toBe('consent_withdrawn');

  for (const kind of ['grant', 'txn', 'client', 'sub'] as const) {
    const { reference, grant, root } = await deferred();
    const value = { grant: grant.grantId, txn: grant.txn, client: grant.clientId, sub: root.sub }[kind];
    await running.authority.takeBack({ kind, value, by: 'operator', reason: '', ban: false });
    expect(await codeOfCall(resume(reference)), kind).toBe('delegation_revoked');
    running.advance(1);
  }
  await running.authority.sweep();
  expect(changes().filter((change) => change === 'revoked')).toHaveLength(5);
});

test('a narrower consent ends it, as it would end the chain that it came from', async () => {
  const { reference, consentId } = await deferred();
  await running.authority.changes.narrow(consentId, ['orders:read'], 'user');
  expect(await codeOfCall(resume(reference))).toBe('delegation_revoked');
});

test('cancelled means cancelled, and the mesh ends what runs on its roots', async () => {
  const { reference, grant } = await deferred({ uses: 2 });
  await resume(reference);
  await running.authority.deferrals.cancel(grant.id, 'operator', 'wrong parcel');
  expect(running.stated.at(-1)?.revocation).toMatchObject({ kind: 'deferred', value: grant.id });
  expect(await codeOfCall(resume(reference))).toBe('delegation_revoked');
  expect(running.events.filter(({ body }) => body === 'deferred').at(-2)).toMatchObject({
    deferred: { change: 'cancelled', by: 'operator', reason: 'wrong parcel' },
  });
  expect(await codeOfCall(running.authority.deferrals.cancel('d:none', 'operator', ''))).toBe('not_found');
});

test('a workload of the old chain that is revoked ends it at once, and what runs on it', async () => {
  const { reference, grant } = await deferred({ uses: 2 });
  await resume(reference);
  const revocation = { kind: 'workload', value: STOREFRONT, before: running.nowS() } as const;
  await running.authority.deferrals.onCaRevocation(revocation);
  expect(running.stated.at(-1)?.revocation).toMatchObject({ kind: 'deferred', value: grant.id });
  expect(await codeOfCall(resume(reference))).toBe('delegation_revoked');
});

test('a revocation that came while we were away is found by the next look, and one before the chain hits nothing', async () => {
  const older = { kind: 'workload', value: STOREFRONT, before: running.nowS() - 100 } as const;
  running.caState.revoked.push(older);
  running.caState.proven = { keptFrom: 1, through: 1 };
  const { reference } = await deferred();
  expect(await codeOfCall(resume(reference))).toBe('done');
  const other = await deferred();
  running.caState.revoked.push({
    kind: 'cert',
    value: other.storefront.caller.certificateS256,
    before: running.nowS(),
  });
  running.caState.proven = { keptFrom: 1, through: 2 };
  expect(await codeOfCall(resume(other.reference))).toBe('delegation_revoked');
});

test('entries of the CA that were forgotten before we saw them end every grant from before, and none after', async () => {
  running.caState.proven = { keptFrom: 1, through: 4 };
  const before = await deferred();
  // All up to 6 are forgotten: 5 and 6 were never here.
  running.caState.proven = { keptFrom: 7, through: 7 };
  expect(await codeOfCall(resume(before.reference))).toBe('delegation_revoked');
  const after = await deferred();
  await running.authority.sweep();
  running.caState.proven = { keptFrom: 8, through: 7 };
  expect(await codeOfCall(resume(after.reference))).toBe('done');
});

test('without live state nothing is put off and nothing taken up', async () => {
  const { reference, asked, holder } = await deferred();
  running.caState.proven = null;
  expect(await codeOfCall(resume(reference))).toBe('revocation_stale');
  expect(await codeOfCall(running.authority.deferrals.defer(asked, holder))).toBe('revocation_stale');
});

test('a root of another kind is not taken for a reference', async () => {
  const { asked, holder } = await held();
  const order = parameters({ subjectToken: asked.txnToken, subjectTokenType: TXN_TOKEN_TYPE });
  expect(await codeOfCall(running.authority.exchange(order, holder))).toBe('request_malformed');
});

test('the user ticks it, sees it and cancels it; another user cannot', async () => {
  const { reference, grant } = await deferred({ purpose: 'pack <it>' });
  const history = running.authority.consents.history(grant.consent);
  expect(history[0]?.shown).toContain('[x] It may finish work later without you: within 10 minutes');
  const open = async (account: string) => {
    const browser = openBrowser(running.issuer);
    const form = await browser.get(new URL('/sign-in', running.issuer));
    await browser.post(new URL('/sign-in', running.issuer), [
      ['csrf', form.hiddenField('csrf') ?? ''],
      ['account', account],
      ['password', PASSWORD],
    ]);
    const page = await browser.get(new URL('/consents', running.issuer));
    return { page, cancel: () => cancelAs(browser, page.hiddenField('csrf') ?? '') };
  };
  const cancelAs = (browser: ReturnType<typeof openBrowser>, csrf: string) =>
    browser.post(new URL(`/deferred/${grant.id}/cancel`, running.issuer), [['csrf', csrf]]);
  const other = await open('second');
  expect(other.page.body).not.toContain(grant.id);
  expect((await other.cancel()).status).toBe(404);
  const own = await open('demo');
  expect(own.page.body).toContain('pack &lt;it&gt;');
  await own.cancel();
  expect(await codeOfCall(resume(reference))).toBe('delegation_revoked');
});

/** So many more like this one, as they would lie there. */
function multiply(id: string, count: number, consent: string): void {
  running.database.sql
    .prepare(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO deferred (id, reference_hash, holder, account, consent, client_id, grant_id, txn, chain, purpose, made_s, until_s,
         uses, uses_left, used_s, state, ended_by, ended_why)
       SELECT 'd:copy' || i, randomblob(32), holder, account, ?, client_id, grant_id, txn, chain, purpose, made_s, until_s,
         uses, uses_left, used_s, state, ended_by, ended_why FROM deferred, n WHERE id = ?`,
    )
    .run(count, consent, id);
}

test('a consent has 1,000 that stand at most, and all of them end with it', async () => {
  const { grant, asked, holder, consentId } = await deferred();
  multiply(grant.id, 999, consentId);
  expect(await codeOfCall(running.authority.deferrals.defer(asked, holder))).toBe('quota_exceeded');
  await running.authority.changes.withdraw(consentId, 'user', '');
  expect(running.authority.deferredStore.count({ consent: consentId })).toBe(0);
});

test('a workload has 100,000 that stand at most, and its revocation ends them page by page', async () => {
  const { grant, asked, holder } = await deferred();
  const other = await held({ client: 'shop-app' });
  multiply(grant.id, 99_999, other.consentId);
  expect(await codeOfCall(running.authority.deferrals.defer(asked, holder))).toBe('quota_exceeded');
  running.database.sql.exec('DELETE FROM deferred WHERE rowid > 3500');
  running.caState.revoked.push({ kind: 'workload', value: STOREFRONT, before: running.nowS() });
  running.caState.proven = { keptFrom: 1, through: 1 };
  await running.authority.deferrals.sweep();
  expect(running.authority.deferredStore.count({ holder: ORDERS })).toBe(0);
}, 120_000);
