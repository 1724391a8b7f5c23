import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../build/build-snapshot.ts';
import type { DelegationFacts } from '../model/entities.ts';
import { SHOP_SOURCE } from '../testing/shop.ts';
import { factsAsked } from './asked-facts.ts';
import { compileSnapshot, matchRoute } from './compile.ts';
import { decideCall } from './decide-call.ts';
import { decisionKey } from './decision-key.ts';

const id = (name: string) => parseSpiffeId(`spiffe://shop.example/${name}`);
const [storefront, orders, inventory] = [id('storefront'), id('orders'), id('inventory')];
const shop = buildSnapshot(SHOP_SOURCE);
const nowS = shop.issued_at + 10;
const PERMIT = 'permit (principal, action, resource)';
const asks = (...conditions: string[]) => {
  const asked = factsAsked(Object.fromEntries(conditions.map((text, n) => [`p${n}`, text])));
  return asked === 'all' ? asked : [...asked].toSorted();
};

test.each([
  [PERMIT, []],
  [`${PERMIT} when { context.subject == "u:a" };`, ['subject']],
  [`${PERMIT} when { context["client"] == "web" };`, ['client']],
  [`${PERMIT} unless { context has purpose };`, ['purpose']],
  [`${PERMIT} when { context has consent.version };`, ['consent']],
  [`${PERMIT} when { principal == resource || [1, {a: context.depth}].contains(2) };`, ['depth']],
  [`${PERMIT} when { if context.own then true else context.purpose like "x*" };`, ['own', 'purpose']],
  [`${PERMIT} when { context.actors.contains(principal) && context.scopes.containsAll(["a"]) };`, ['actors', 'scopes']],
  [`${PERMIT} when { {"Var": "context", ".": "context"}.Var == "context" };`, []],
  [`${PERMIT} when { context == {a: 1} };`, 'all'],
  [`${PERMIT} when { {of: context}.of.subject == "u:a" };`, 'all'],
  [`${PERMIT} when { (if context.own then context else context).subject == "u:a" };`, 'all'],
  ['no policy', 'all'],
])('%s asks for %j', (policy, asked) => {
  expect(asks(policy.endsWith(')') ? `${policy};` : policy)).toEqual(asked);
});

test('a policy for another action than calls asks nothing of a call; one for several, or for all, does', () => {
  const of = (action: string) => asks(`permit (principal, ${action}, resource) when { context.subject == "u:a" };`);
  expect(of('action == Behalf::Action::"read"')).toEqual([]);
  expect(of('action == Behalf::Action::"call"')).toEqual(['subject']);
  expect(of('action in [Behalf::Action::"read", Behalf::Action::"call"]')).toEqual(['subject']);
  expect(of('action in Behalf::Action::"some"')).toEqual(['subject']);
  expect(of('action')).toEqual(['subject']);
});

test('all policies of a snapshot count', () => {
  expect(asks(`${PERMIT};`, `forbid (principal, action, resource) when { context.purpose == "x" };`)).toEqual([
    'purpose',
  ]);
});

const oneOf = <T>(...values: T[]) => fc.constantFrom(...values);
const facts: fc.Arbitrary<DelegationFacts> = fc.record({
  subject: oneOf('u:a', 'u:b', '\ud800'),
  client: oneOf('web', 'app'),
  consent: oneOf('c1', 'c2'),
  purpose: oneOf('shopping', 'audit'),
  scopes: oneOf<readonly string[]>(['orders:read', 'orders:write'], ['orders:read'], []),
  actors: oneOf([storefront], [storefront, inventory], [inventory]),
  depth: oneOf(0, 1, 2),
  own: fc.boolean(),
  details: oneOf<readonly string[]>([], ['payment']),
});
const CONDITIONS = [
  'context.subject == "u:a"',
  'context.client == "web"',
  'context has consent && context.consent == "c1"',
  'context["purpose"] like "shop*"',
  'context.scopes.contains("orders:write")',
  'context.actors.contains(Behalf::Workload::"spiffe://shop.example/inventory")',
  'context.depth < 2',
  'context.own',
  'context.details.contains("payment")',
  'context.peer == principal',
  'principal == Behalf::Workload::"spiffe://shop.example/storefront"',
  'resource.operation == "createOrder"',
  '{all: context}.all.subject == "u:b"',
];

test('two calls with one key are decided alike, whatever the policies ask', { timeout: 60_000 }, () => {
  const policy = fc
    .array(fc.tuple(oneOf('permit', 'forbid'), oneOf('when', 'unless'), oneOf(...CONDITIONS)), { maxLength: 4 })
    .map((parts) =>
      parts.map(
        ([effect, word, is]) => `${effect} (principal, action == Behalf::Action::"call", resource) ${word} { ${is} };`,
      ),
    );
  const call = fc.record({ facts, caller: oneOf(storefront, inventory), path: oneOf('POST', 'GET') });
  fc.assert(
    fc.property(policy, fc.array(call, { minLength: 6, maxLength: 30 }), (texts, calls) => {
      const policies = Object.fromEntries([`${PERMIT};`, ...texts].map((text, n) => [`p${n}`, text]));
      const compiled = compileSnapshot({ ...shop, cedar: { ...shop.cedar, policies } });
      const known = new Map<string, string>();
      for (const { facts, caller, path } of calls) {
        const route = matchRoute(compiled, orders, path, '/v1/orders');
        if (route === null) continue;
        const { kind, code, policies: by } = decideCall(compiled, { nowS, caller, service: orders, route, facts });
        const decided = JSON.stringify([kind, code, by.toSorted()]);
        const key = decisionKey(compiled, caller, route, facts);
        if (key === null) continue;
        expect(known.get(key) ?? decided).toBe(decided);
        known.set(key, decided);
      }
    }),
    { numRuns: 60 },
  );
});

test('another user’s call has the same key where no policy asks who the user is, and another one where one does', () => {
  const keyUnder = (condition: string, changes: Partial<DelegationFacts>): string | null => {
    const policies = { p: `${PERMIT} when { ${condition} };` };
    const compiled = compileSnapshot({ ...shop, cedar: { ...shop.cedar, policies } });
    const route = matchRoute(compiled, orders, 'POST', '/v1/orders')!;
    const user = {
      subject: 'u:a',
      client: 'web',
      consent: 'c1',
      purpose: 'p',
      scopes: [],
      actors: [],
      depth: 1,
      own: false,
      details: [],
    };
    return decisionKey(compiled, storefront, route, { ...user, ...changes });
  };
  const another = { subject: 'u:b', consent: 'c2' };
  expect(keyUnder('!context.own', another)).toBe(keyUnder('!context.own', {}));
  expect(keyUnder('context.subject != ""', another)).not.toBe(keyUnder('context.subject != ""', {}));
  expect(keyUnder('!context.own', { own: true })).not.toBe(keyUnder('!context.own', {}));
  expect(keyUnder('!context.own', { depth: 2 })).not.toBe(keyUnder('!context.own', {}));
  expect(keyUnder('!context.own', { purpose: '\ud800' })).toBeNull();
});
