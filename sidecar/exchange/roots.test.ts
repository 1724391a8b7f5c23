/** When a root is used again, and when never (WIRE section 1). */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { createRevocationSet, mintRoot, type RevocationSet } from '../../delegation/index.ts';
import { BehalfError } from '../../errors/index.ts';
import { DEFAULT_CLOCK_RULE } from '../../identity/clock.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { createTestIssuer, type TestIdentity, type TestIssuer } from '../../identity/testing/issuer.ts';
import type { ExchangeOrder } from './exchange-stream.ts';
import { createRoots, type Roots } from './roots.ts';

const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const to = parseSpiffeId('spiffe://shop.example/payments');
let issuer: TestIssuer;
let identity: TestIdentity;
let revocations: RevocationSet;
let now: number;
let reuse: number;
let asked: ExchangeOrder[];
let answer: (order: ExchangeOrder) => Promise<string>;
let roots: Roots;

beforeAll(async () => {
  issuer = await createTestIssuer('shop.example');
  identity = await issuer.issue('spiffe://shop.example/orders');
});

beforeEach(() => {
  now = Math.floor(Date.now() / 1000);
  reuse = 30;
  asked = [];
  revocations = createRevocationSet();
  answer = async () => mint();
  roots = createRoots({
    exchange: {
      exchange(order) {
        asked.push(order);
        return answer(order);
      },
    },
    identity,
    nowS: () => now,
    reuseS: () => reuse,
    context: () => ({
      me: identity.spiffeId,
      nowS: now,
      clock: DEFAULT_CLOCK_RULE,
      trustDomain: identity.trustDomain,
      issuer: 'https://as',
      audience: 'spiffe://shop.example/behalf/delegation',
      rootKey: () => key.publicKey,
      revoked: (facts) => revocations.hit(facts),
      fresh: () => undefined,
    }),
  });
});

function mint(lifeS = 120): string {
  return mintRoot(
    {
      iss: 'https://as',
      aud: 'spiffe://shop.example/behalf/delegation',
      iat: now,
      exp: now + lifeS,
      txn: randomBytes(16).toString('base64url'),
      sub: 'u:AAAAAAAAAAAAAAAAAAAAAA',
      scope: 'a',
      req_wl: identity.spiffeId,
      tctx: { client_id: 'c', consent: { id: 'x', version: 1 }, grant: 'g', purpose: 'p' },
    },
    { key: key.privateKey, kid: 'k' },
  );
}

const forToken = (token: string, scopes: readonly string[], fresh: boolean) =>
  roots.forCredential({ kind: 'access_token', token, proof: null, certificateS256: null }, { scopes, fresh });

test('the same token and scope get the same root for the reuse time, whatever the order of the scope', async () => {
  const first = await forToken('t', ['a', 'b'], false);
  now += 29;
  expect(await forToken('t', ['b', 'a'], false)).toBe(first);
  now += 1;
  expect(await forToken('t', ['a', 'b'], false)).not.toBe(first);
  expect(asked.length).toBe(2);
});

test('another token or another scope gets another root', async () => {
  const first = await forToken('t', ['a'], false);
  expect(await forToken('u', ['a'], false)).not.toBe(first);
  expect(await forToken('t', ['a', 'b'], false)).not.toBe(first);
  expect(await roots.forOwn(to, ['a'], false)).not.toBe(first);
  expect(asked.length).toBe(4);
});

test('a root that was asked for with details serves one request: what can be spent is never shared', async () => {
  const paying = () =>
    roots.forCredential(
      { kind: 'access_token', token: 't', proof: null, certificateS256: null },
      { scopes: ['a'], fresh: false, details: '[{"type":"payment"}]' },
    );
  const [first, second] = await Promise.all([paying(), paying()]);
  expect(first).not.toBe(second);
  expect(await paying()).not.toBe(second);
  expect(asked.map(({ authorizationDetails }) => authorizationDetails)).toEqual(Array(3).fill('[{"type":"payment"}]'));
  expect((await forToken('t', ['a'], false)).txn).not.toBe(first.txn);
});

test('a fresh route and a reuse of 0 get a new root each time', async () => {
  await forToken('t', ['a'], false);
  await forToken('t', ['a'], true);
  reuse = 0;
  await Promise.all([forToken('t', ['a'], false), forToken('t', ['a'], false)]);
  expect(asked.length).toBe(4);
});

test('many requests at once share one exchange, and its refusal is not remembered', async () => {
  answer = async () => {
    throw new BehalfError('entry_token_invalid');
  };
  const refused = await Promise.allSettled([1, 2, 3].map(() => forToken('t', ['a'], false)));
  expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
  answer = async () => mint();
  await forToken('t', ['a'], false);
  expect(asked.length).toBe(2);
});

test('a root with less than 5 s left is not handed out again', async () => {
  answer = async () => mint(20);
  const first = await forToken('t', ['a'], false);
  now += 14;
  expect(await forToken('t', ['a'], false)).toBe(first);
  now += 1;
  expect(await forToken('t', ['a'], false)).not.toBe(first);
});

test('a revoked root is never handed out again, even if it arrived after its revocation', async () => {
  await forToken('t', ['a'], false);
  const revocation = { kind: 'consent', value: 'x', before: now } as const;
  revocations.add(revocation, now + 600, 'authority');
  roots.revoke(revocation, 'authority');
  now += 1;
  const clean = await forToken('t', ['a'], false);
  expect(clean.iat).toBe(now);
  expect(asked.length).toBe(2);
  answer = async () => mint();
  now -= 1;
  await expect(forToken('other', ['a'], false)).rejects.toMatchObject({ code: 'consent_withdrawn' });
});

test('a root of a key that is not the authority’s is refused', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  answer = async () => {
    const compact = mint();
    const [header, payload] = compact.split('.');
    return `${header}.${payload}.${mintRoot({ ...JSON.parse(Buffer.from(payload as string, 'base64url').toString()) }, { key: other.privateKey, kid: 'k' }).split('.')[2]}`;
  };
  await expect(forToken('t', ['a'], false)).rejects.toMatchObject({ code: 'delegation_bad_signature' });
});

test('an own root is bound to the WIT: after a renewal it is asked for anew, with the new one', async () => {
  await roots.forOwn(to, ['a'], false);
  await roots.forOwn(to, ['a'], false);
  expect(asked.length).toBe(1);
  await identity.renew();
  await roots.forOwn(to, ['a'], false);
  expect(asked.map(({ subjectToken }) => subjectToken).at(-1)).toBe(identity.current().wit);
  expect(asked.length).toBe(2);
});

test('a WIT that was replaced while it was under way is tried once more with the new one', async () => {
  answer = async (order) => {
    if (asked.length === 1) await identity.renew();
    if (order.subjectToken !== identity.current().wit) throw new BehalfError('entry_proof_invalid');
    return mint();
  };
  await roots.forOwn(to, ['a'], false);
  expect(asked.length).toBe(2);
});

const forReference = (reference: string, fresh = false) =>
  roots.forCredential({ kind: 'deferred', reference }, { scopes: null, fresh });

test('a reference has one root for as long as that lives, whatever the reuse of others is', async () => {
  reuse = 0;
  const [one, two] = await Promise.all([forReference('r'), forReference('r')]);
  expect(two).toBe(one);
  now += 100;
  expect(await forReference('r')).toBe(one);
  expect(await forReference('s')).not.toBe(one);
  now += 16;
  expect(await forReference('r')).not.toBe(one);
  expect(asked.length).toBe(3);
  expect(asked[0]).toMatchObject({
    subjectToken: 'r',
    subjectTokenType: 'urn:behalf:params:oauth:token-type:deferred',
    scope: '',
    narrows: false,
  });
});

test('an entry whose route takes and passes on no scope gets none of deferred work either, and no root that has some', async () => {
  const all = await forReference('r');
  expect(await roots.forCredential({ kind: 'deferred', reference: 'r' }, { scopes: [], fresh: false })).not.toBe(all);
  expect(asked.at(-1)).toMatchObject({ scope: '', narrows: true });
});

test('a fresh route takes a use of its own, and a refusal is not remembered', async () => {
  const kept = await forReference('r');
  expect(await forReference('r', true)).not.toBe(kept);
  expect(await forReference('r')).toBe(kept);
  answer = async () => {
    throw new BehalfError('deferred_exhausted');
  };
  await expect(forReference('t')).rejects.toMatchObject({ code: 'deferred_exhausted' });
  answer = async () => mint();
  await forReference('t');
});
