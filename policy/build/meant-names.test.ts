/** Slips of a person's hand in a policy folder: each refusal says where it stands and what was probably meant. */
import { expect, test } from 'vitest';
import { BehalfError, type ErrorDetail } from '../../errors/index.ts';
import { compileSnapshot } from '../decide/compile.ts';
import { parseSnapshot } from '../snapshot/parse-snapshot.ts';
import { SHOP_FILES, SHOP_SOURCE } from '../testing/shop.ts';
import { buildSnapshot } from './build-snapshot.ts';

function refusalOf(files: Readonly<Record<string, string>>): ErrorDetail {
  try {
    buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, ...files } });
  } catch (error) {
    if (error instanceof BehalfError && error.code === 'snapshot_invalid') return error.detail;
    throw error;
  }
  throw new Error('the folder was taken');
}

function changed(file: string, from: string, to: string): Record<string, string> {
  const text = SHOP_FILES[file]!;
  expect(text).toContain(from);
  return { [file]: text.replace(from, to) };
}

const POLICY = (condition: string) => `
// Behalf::Service::"spiffe://shop.example/paymens" stands in a comment only.
@id("extra")
@type("Behalf::Service")
permit(principal, action == Behalf::Action::"call", resource)
when {
  ${condition}
};
`;

test.each([
  ['a service', 'resource in Behalf::Service::"spiffe://shop.example/paymens"', 'spiffe://shop.example/payments'],
  ['a service by its name alone', 'resource in Behalf::Service::"payments"', 'spiffe://shop.example/payments'],
  [
    'a service of another trust domain',
    'resource in Behalf::Service::"spiffe://shop.exmple/orders"',
    'spiffe://shop.example/orders',
  ],
  [
    'a workload in a set',
    'context.actors.containsAny([Behalf::Workload::"spiffe://shop.example/storefrnt"])',
    'spiffe://shop.example/storefront',
  ],
  [
    'a workload behind a type test',
    'principal is Behalf::Workload in Behalf::Workload::"spiffe://shop.example/order"',
    'spiffe://shop.example/orders',
  ],
  [
    'a route',
    'resource == Behalf::Route::"spiffe://shop.example/orders GET /v1/order"',
    'spiffe://shop.example/orders GET /v1/orders',
  ],
])('a policy that names %s which there is not is refused, with the nearest', (_, condition, meant) => {
  expect(refusalOf({ 'extra.cedar': POLICY(condition) })).toMatchObject({
    at: 'extra.cedar:7',
    policy: 'extra',
    why: expect.stringMatching(`; did you mean ${meant}\\?$`),
  });
});

test('the head of a policy is held to the same', () => {
  const text = SHOP_FILES['own.cedar']!.replace('shop.example/payments', 'shop.example/payment');
  expect(refusalOf({ 'own.cedar': text })).toMatchObject({
    at: 'own.cedar:4',
    policy: 'own#2',
    why: 'mesh.yaml has no service Behalf::Service::"spiffe://shop.example/payment"; did you mean spiffe://shop.example/payments?',
  });
});

test('policies may name every workload, service and route that there is, and things of the app’s own', () => {
  const names = [
    'principal == Behalf::Workload::"spiffe://shop.example/storefront"',
    'context.actors.contains(Behalf::Workload::"spiffe://shop.example/payments")',
    'resource in Behalf::Service::"spiffe://shop.example/orders"',
    'resource == Behalf::Route::"spiffe://shop.example/orders GET /v1/orders/{id}"',
  ];
  const own = '@id("own-order") forbid(principal, action, resource == Behalf::Order::"any");';
  const text = `${POLICY(names.join(' &&\n  '))}${own}`;
  expect(() => buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, 'extra.cedar': text } })).not.toThrow();
});

test('a snapshot that is signed already stands, whatever its policies name', () => {
  const json = structuredClone(buildSnapshot(SHOP_SOURCE));
  const extra = 'permit(principal, action, resource in Behalf::Service::"spiffe://shop.example/gone");';
  const policies = { ...json.cedar.policies, extra };
  expect(() => compileSnapshot(parseSnapshot({ ...json, cedar: { ...json.cedar, policies } }))).not.toThrow();
});

test.each([
  [22, 'edges[1].to', 'to: payments,', 'to: paymens,', 'no service is named `paymens`; did you mean payments?'],
  [
    22,
    'edges[1].to',
    'to: payments,',
    'to: "spiffe://shop.example/paymens",',
    'no service is named `spiffe://shop.example/paymens`; did you mean spiffe://shop.example/payments?',
  ],
  [
    21,
    'edges[0].from',
    'from: storefront',
    'from: storefrnt',
    'no service or workload is named `storefrnt`; did you mean storefront?',
  ],
  [
    19,
    'workloads.orders.own[0].to',
    'own: [{ to: inventory',
    'own: [{ to: inventry',
    'no service is named `inventry`; did you mean inventory?',
  ],
  [22, 'edges[1].narowTo', 'narrowTo:', 'narowTo:', 'unknown key; did you mean narrowTo?'],
  [11, 'services.orders.opnapi', 'openapi:', 'opnapi:', 'unknown key; did you mean openapi?'],
  [
    18,
    'workloads.storefront.entry.ceiling',
    'ceiling: ["orders:read"',
    'ceiling: ["order:read"',
    'scope `order:read` is not in `scopes` of mesh.yaml; did you mean orders:read?',
  ],
  [
    10,
    'services.storefront.routes[0].passes',
    'passes: ["orders:read"',
    'passes: ["orders:raed"',
    'scope `orders:raed` is not in `scopes` of mesh.yaml; did you mean orders:read?',
  ],
  [
    11,
    'services.orders.openapi',
    'orders.openapi.yaml',
    'order.openapi.yaml',
    'the folder has no file `order.openapi.yaml`; did you mean orders.openapi.yaml?',
  ],
])('mesh.yaml, line %i: a slip in %s is refused with what was meant', (line, key, from, to, why) => {
  expect(refusalOf(changed('mesh.yaml', from, to))).toEqual({ at: `mesh.yaml:${line}`, key, why });
});

test('a scope of an OpenAPI document or .proto file that the catalogue lacks is refused in that file', () => {
  expect(refusalOf(changed('orders.openapi.yaml', '"orders:write"', '"orders:wirte"'))).toEqual({
    at: 'orders.openapi.yaml:10',
    key: 'paths./orders.post.security',
    why: 'scope `orders:wirte` is not in `scopes` of mesh.yaml; did you mean orders:write?',
  });
  expect(refusalOf(changed('orders.openapi.yaml', 'passes:', 'pases:'))).toMatchObject({
    at: 'orders.openapi.yaml:11',
    key: 'paths./orders.post.x-behalf.pases',
    why: 'unknown key; did you mean passes?',
  });
  expect(refusalOf(changed('payments.proto', 'payments:charge', 'payment:charge'))).toEqual({
    at: 'payments.proto',
    key: 'shop.v1.Payments.Charge.scopes',
    why: 'scope `payment:charge` is not in `scopes` of mesh.yaml; did you mean payments:charge?',
  });
});

test.each([
  ['a path without its slash', 'mesh.yaml', 'path: /checkout', 'path: checkout', 'mesh.yaml:10'],
  ['an alias to nowhere', 'mesh.yaml', 'to: payments,', 'to: *nowhere ,', 'mesh.yaml'],
  [
    'a route twice',
    'mesh.yaml',
    'routes: [{ method: "*"',
    'routes: [{ method: "*", path: "/{+r}", scopes: [] }, { method: "*"',
    'mesh.yaml:13',
  ],
  [
    'a path in OpenAPI with an open brace',
    'orders.openapi.yaml',
    '/orders/{id}:',
    '/orders/{id:',
    'orders.openapi.yaml:13',
  ],
  [
    'a declaration in the schema that does not end',
    'schema.cedarschema',
    'context: Delegation };\nentity',
    'context: Delegation }\nentity',
    'schema.cedarschema:3',
  ],
  ['a policy id with a space', 'calls.cedar', '@id("shop-calls")', '@id("shop calls")', 'calls.cedar:2'],
])('%s is refused with its line', (_, file, from, to, at) => {
  expect(refusalOf(changed(file, from, to))).toMatchObject({ at });
});

test('a name that is near to nothing gets no guess', () => {
  expect(refusalOf(changed('mesh.yaml', 'to: payments,', 'to: warehouse-and-more,'))['why']).toBe(
    'no service is named `warehouse-and-more`',
  );
});
