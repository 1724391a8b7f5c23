import { expect, test } from 'vitest';
import { SHOP_FILES, SHOP_SOURCE } from '../testing/shop.ts';
import { buildSnapshot } from './build-snapshot.ts';
import { summarisePolicy } from './summarise-policy.ts';

const summaryOf = (files: Readonly<Record<string, string>>) =>
  summarisePolicy(buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, ...files } }));

test('a policy is summed up by its names', () => {
  const { services, workloads, edges, policies, unusedScopes, deadEdges } = summaryOf({});
  expect(services.map(({ name, protocol, routes }) => [name, protocol, routes])).toEqual([
    ['storefront', 'http', 1],
    ['orders', 'http', 4],
    ['payments', 'grpc', 1],
    ['inventory', 'http', 1],
  ]);
  expect(workloads.map(({ name, isEntry }) => [name, isEntry])).toEqual([
    ['storefront', true],
    ['orders', false],
  ]);
  expect(edges[1]).toEqual({ from: 'orders', to: 'payments' });
  expect(policies).toHaveLength(4);
  expect([unusedScopes, deadEdges]).toEqual([[], []]);
});

test('a scope that users can grant and nothing uses is named', () => {
  const mesh = SHOP_FILES['mesh.yaml']!.replace('scopes:\n', 'scopes:\n  idle: { title: Idle, description: Idle }\n');
  expect(summaryOf({ 'mesh.yaml': mesh }).unusedScopes).toEqual(['idle']);
});

const ORDERS = 'Behalf::Workload::"spiffe://shop.example/orders"';
const PAYMENTS = 'Behalf::Service::"spiffe://shop.example/payments"';
const CHARGE = 'Behalf::Route::"spiffe://shop.example/payments POST /shop.v1.Payments/Charge"';
const CALL = 'action == Behalf::Action::"call"';
const STOREFRONT_TO_ORDERS = { from: 'storefront', to: 'orders' };
const ORDERS_TO_INVENTORY = { from: 'orders', to: 'inventory' };
const ORDERS_TO_PAYMENTS = { from: 'orders', to: 'payments' };
const ALL = [STOREFRONT_TO_ORDERS, ORDERS_TO_PAYMENTS, ORDERS_TO_INVENTORY];

test.each([
  ['a caller', `principal == ${ORDERS}, ${CALL}, resource`, [STOREFRONT_TO_ORDERS]],
  ['a service', `principal, action, resource in ${PAYMENTS}`, [STOREFRONT_TO_ORDERS, ORDERS_TO_INVENTORY]],
  [
    'a route',
    `principal is Behalf::Workload, ${CALL}, resource == ${CHARGE}`,
    [STOREFRONT_TO_ORDERS, ORDERS_TO_INVENTORY],
  ],
  [
    'a route of a service',
    `principal in ${ORDERS}, action in [Behalf::Action::"call", Behalf::Action::"charge"], resource is Behalf::Route in ${PAYMENTS}`,
    [STOREFRONT_TO_ORDERS, ORDERS_TO_INVENTORY],
  ],
  ['another action', 'principal, action == Behalf::Action::"charge", resource', ALL],
  ['another kind of resource', 'principal, action, resource is Behalf::Order', ALL],
])('where the only permit is for %s, all other edges are dead', (_, head, dead) => {
  expect(
    summaryOf({ 'calls.cedar': `permit(${head});`, 'own.cedar': 'forbid(principal, action, resource) when { false };' })
      .deadEdges,
  ).toEqual(dead);
});
