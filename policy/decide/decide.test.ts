import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../build/build-snapshot.ts';
import type { DelegationFacts } from '../model/entities.ts';
import { SHOP_FILES, SHOP_SOURCE } from '../testing/shop.ts';
import {
  allowsContext,
  type CompiledSnapshot,
  compileSnapshot,
  edgeOf,
  entryCeilingOf,
  matchRoute,
  narrowOver,
  ownScopesOf,
} from './compile.ts';
import { type Decision, decideCall } from './decide-call.ts';
import { decideResource } from './decide-resource.ts';

const id = (name: string) => parseSpiffeId(`spiffe://shop.example/${name}`);
const [storefront, orders, payments, inventory] = [id('storefront'), id('orders'), id('payments'), id('inventory')];
const snapshot = buildSnapshot(SHOP_SOURCE);
const compiled = compileSnapshot(snapshot);
const nowS = snapshot.issued_at + 10;

const user: DelegationFacts = {
  subject: 'u:alice',
  client: 'web',
  consent: 'c1',
  purpose: 'shopping',
  scopes: ['orders:read', 'orders:write', 'payments:charge'],
  actors: [storefront],
  depth: 1,
  own: false,
  details: null,
};

function call(
  caller: typeof orders,
  service: typeof orders,
  [method, path]: [string, string],
  facts: Partial<DelegationFacts> = {},
  at = nowS,
  by: CompiledSnapshot | null = compiled,
): Decision {
  const route = by === null ? null : matchRoute(by, service, method, path);
  return decideCall(by, { nowS: at, caller, service, route, facts: { ...user, ...facts } });
}

test('a call with an edge, its scopes and a policy that permits is allowed, and the policy is named', () => {
  expect(call(storefront, orders, ['POST', '/v1/orders'])).toEqual({
    kind: 'allow',
    code: null,
    policies: ['shop-calls'],
    detail: {},
  });
  expect(call(orders, payments, ['POST', '/shop.v1.Payments/Charge'])).toMatchObject({ kind: 'allow' });
});

test('without a snapshot, or past its end, a call is denied with snapshot_stale', () => {
  expect(call(storefront, orders, ['GET', '/v1/orders'], {}, nowS, null).code).toBe('snapshot_stale');
  expect(call(storefront, orders, ['GET', '/v1/orders'], {}, snapshot.valid_until).code).toBe(null);
  expect(call(storefront, orders, ['GET', '/v1/orders'], {}, snapshot.valid_until + 1).code).toBe('snapshot_stale');
  expect(call(storefront, orders, ['GET', '/v1/orders'], {}, Number.NaN).code).toBe('snapshot_stale');
});

test('a call without an edge is denied with policy_denied, whatever its scopes', () => {
  expect(call(inventory, payments, ['POST', '/shop.v1.Payments/Charge'])).toMatchObject({
    code: 'policy_denied',
    policies: [],
    detail: { why: 'no edge' },
  });
  expect(call(payments, orders, ['GET', '/v1/orders']).code).toBe('policy_denied');
});

test('a route that the service has not is denied with route_unknown', () => {
  expect(call(storefront, orders, ['DELETE', '/v1/orders']).code).toBe('route_unknown');
  expect(call(storefront, orders, ['GET', '/orders']).code).toBe('route_unknown');
});

test('a scope that is missing is denied with insufficient_scope and named', () => {
  expect(call(storefront, orders, ['POST', '/v1/orders'], { scopes: ['orders:read'] })).toMatchObject({
    code: 'insufficient_scope',
    detail: { missing: ['orders:write'] },
  });
});

test('a policy that forbids wins and is named', () => {
  expect(call(storefront, orders, ['GET', '/v1/health'], { depth: 0 })).toMatchObject({
    code: 'policy_denied',
    policies: ['no-health-from-outside'],
  });
});

test('where no policy matches, the call is denied with policy_denied and no policy', () => {
  expect(call(storefront, orders, ['GET', '/v1/orders'], { subject: 'spiffe://x' })).toMatchObject({
    code: 'policy_denied',
    policies: [],
  });
});

test('a policy that fails to evaluate denies, though another permits', () => {
  const files = {
    ...SHOP_FILES,
    'broken.cedar':
      '@id("breaks") forbid(principal, action, resource) when { context.depth + 9223372036854775807 < 0 };',
  };
  const broken = compileSnapshot(buildSnapshot({ ...SHOP_SOURCE, files }));
  expect(call(storefront, orders, ['GET', '/v1/orders'], {}, nowS, broken)).toMatchObject({
    kind: 'deny',
    code: 'policy_denied',
    policies: ['breaks'],
  });
});

test('a user enters only at a workload that is registered as an entry', () => {
  expect(call(storefront, storefront, ['POST', '/checkout'], { depth: 0 }).kind).toBe('allow');
  expect(call(orders, orders, ['POST', '/v1/orders'], { depth: 0 })).toMatchObject({ code: 'policy_denied' });
  expect(call(storefront, storefront, ['POST', '/checkout'], { depth: 1 })).toMatchObject({
    detail: { why: 'no edge' },
  });
});

test('more programs than slots keep deciding each by its own policies', () => {
  const denying = { ...SHOP_FILES, 'calls.cedar': '' };
  const programs = Array.from({ length: 12 }, (_, n) => {
    const files = n % 2 === 0 ? SHOP_FILES : denying;
    return compileSnapshot(buildSnapshot({ ...SHOP_SOURCE, files: { ...files, 'n.cedar': forbidDepth(100 + n) } }));
  });
  for (let round = 0; round < 2; round += 1) {
    programs.forEach((program, n) => {
      const expected = n % 2 === 0 ? 'allow' : 'deny';
      expect(call(storefront, orders, ['GET', '/v1/orders'], {}, nowS, program).kind).toBe(expected);
      expect(call(storefront, orders, ['GET', '/v1/orders'], { depth: 100 + n }, nowS, program).kind).toBe('deny');
    });
  }
});

const forbidDepth = (depth: number): string =>
  `forbid(principal, action == Behalf::Action::"call", resource) when { context.depth == ${depth} };`;

test('edges, ceilings and own scopes can be asked', () => {
  expect(entryCeilingOf(compiled, storefront)).toContain('payments:charge');
  expect(entryCeilingOf(compiled, orders)).toBeNull();
  expect(ownScopesOf(compiled, orders, inventory)).toEqual(['stock:read']);
  expect(ownScopesOf(compiled, orders, payments)).toBeNull();
  expect(ownScopesOf(compiled, storefront, inventory)).toBeNull();
  expect(narrowOver(edgeOf(compiled, orders, payments)!, user.scopes)).toEqual(['payments:charge']);
  expect(narrowOver(edgeOf(compiled, storefront, orders)!, user.scopes)).toEqual(user.scopes);
  expect(edgeOf(compiled, storefront, payments)).toBeNull();
});

test('a demand on how an app names its request holds for the whole mesh or one edge, and forbids what is weaker', () => {
  const allowed = (settings: string, edge: string): string[] => {
    const mesh = SHOP_FILES['mesh.yaml']!.replace(
      '- { from: storefront, to: orders }',
      `- { from: storefront, to: orders${edge} }`,
    ).concat(settings);
    const made = compileSnapshot(buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, 'mesh.yaml': mesh } }));
    const one = edgeOf(made, storefront, orders)!;
    return (['context', 'baggage', 'trace'] as const).filter((way) => allowsContext(made, one, way));
  };
  expect(allowed('', '')).toEqual(['context', 'baggage', 'trace']);
  expect(allowed('', ', minContext: context')).toEqual(['context']);
  expect(allowed('\nsettings: { minContext: baggage }\n', '')).toEqual(['context', 'baggage']);
  expect(allowed('\nsettings: { minContext: baggage }\n', ', minContext: trace')).toEqual([
    'context',
    'baggage',
    'trace',
  ]);
});

function resource(
  action: string,
  type: string,
  attributes: Record<string, unknown>,
  facts: Partial<DelegationFacts> = {},
): Decision {
  return decideResource(compiled, {
    nowS,
    caller: orders,
    service: payments,
    action,
    resource: { type, id: '42', attributes },
    facts: { ...user, ...facts },
  });
}

test('a user may charge an own order and no other', () => {
  expect(resource('charge', 'order', { owner: 'u:alice' })).toMatchObject({ kind: 'allow', policies: ['own#1'] });
  expect(resource('charge', 'order', { owner: 'u:bob' })).toMatchObject({ kind: 'deny', code: 'policy_denied' });
  expect(resource('charge', 'order', {})).toMatchObject({ kind: 'deny', code: 'policy_denied' });
});

test('a declared type is held against the schema, and stands in its service', () => {
  expect(resource('refund', 'Order', { owner: 'u:alice', amount: 5 })).toMatchObject({
    kind: 'allow',
    policies: ['own#2'],
  });
  expect(resource('refund', 'Order', { owner: 'u:alice' })).toMatchObject({ kind: 'deny', code: 'policy_denied' });
  expect(resource('refund', 'Order', { owner: 'u:alice', amount: 'much' }).code).toBe('policy_denied');
  expect(resource('refund', 'Order', { owner: 'u:alice', other: 1 }).code).toBe('policy_denied');
  const elsewhere = { nowS, caller: orders, service: orders, action: 'refund', facts: user };
  const order = { type: 'Order', id: '42', attributes: { owner: 'u:alice', amount: 5 } };
  expect(decideResource(compiled, { ...elsewhere, resource: order }).kind).toBe('deny');
});

test('an evaluation error, an unknown action and a mismatch of types are denials', () => {
  expect(resource('refund', 'Order', { owner: 'u:alice', amount: 2 ** 53 - 1 }).kind).toBe('allow');
  expect(resource('transmogrify', 'order', { owner: 'u:alice' }).code).toBe('policy_denied');
  expect(resource('charge', 'Order', { owner: 'u:alice' }).code).toBe('policy_denied');
});

test('a resource is not judged without a subject, nor with values that Cedar does not have', () => {
  expect(resource('charge', 'order', { owner: '' }, { subject: '' }).code).toBe('request_malformed');
  expect(resource('call', 'order', { owner: 'u:alice' }).code).toBe('request_malformed');
  expect(resource('charge', 'order', { owner: { __entity: { type: 'Behalf::Workload', id: 'x' } } }).code).toBe(
    'request_malformed',
  );
  for (const bad of [null, 1.5, { __extn: { fn: 'ip', arg: 'x' } }, [[[[['deep']]]]], 'x'.repeat(5_000)]) {
    expect(resource('refund', 'Order', { owner: bad }).code).toBe('request_malformed');
  }
  expect(resource('', 'order', { owner: 'u:alice' }).code).toBe('request_malformed');
});

test('whatever an app or a chain says, deciding answers and never throws, and only an own order is charged', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\ud800', 'u:alice', '', 'Order', 'Resource', 'Route'),
  );
  fc.assert(
    fc.property(text, text, fc.dictionary(text, fc.jsonValue()), text, (type, subject, attributes, name) => {
      const request = {
        nowS,
        caller: orders,
        service: payments,
        facts: { ...user, subject, client: name, purpose: type },
      };
      const decision = decideResource(compiled, {
        ...request,
        action: 'charge',
        resource: { type, id: name, attributes },
      });
      if (decision.kind === 'allow') expect(attributes['owner']).toBe(subject);
      decideResource(compiled, { ...request, action: name, resource: { type, id: name, attributes } });
      const route = matchRoute(compiled, orders, 'GET', '/v1/orders');
      decideCall(compiled, { ...request, caller: storefront, service: orders, route });
    }),
    { numRuns: 150 },
  );
});

test('Cedar that does not fit the schema is refused when it is compiled', () => {
  const cedar = (text: string): unknown => {
    try {
      return compileSnapshot({ ...snapshot, cedar: { ...snapshot.cedar, policies: { p: text } } });
    } catch (error) {
      return error instanceof BehalfError ? error.code : error;
    }
  };
  expect(cedar('permit(principal, action == Behalf::Action::"call", resource) when { resource.owner == "x" };')).toBe(
    'snapshot_invalid',
  );
  expect(cedar('permit(principal, action == Behalf::Action::"nope", resource);')).toBe('snapshot_invalid');
  expect(cedar('permit(principal')).toBe('snapshot_invalid');
  expect(() => compileSnapshot({ ...snapshot, cedar: { schema: 'namespace Behalf {}', policies: {} } })).toThrow(
    /snapshot_invalid/,
  );
});
