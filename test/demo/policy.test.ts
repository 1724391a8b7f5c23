/** The demo's policy says what the story shows: who may call whom, and whose orders are charged. */
import { expect, test } from 'vitest';
import { readPolicyFolder } from '../../cli/mesh/policy-folder.ts';
import { DEMO_POLICY_FOLDER, DEMO_PROBE, DEMO_SERVICES } from '../../demo/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../identity/index.ts';
import {
  buildSnapshot,
  compileSnapshot,
  type Decision,
  decideCall,
  decideResource,
  matchRoute,
} from '../../policy/index.ts';

const NOW_S = 1_800_000_000;
const snapshot = buildSnapshot({ files: readPolicyFolder(DEMO_POLICY_FOLDER), number: 1, issuedAtS: NOW_S });
const compiled = compileSnapshot(snapshot);
const [storefront, orders, payments, inventory, probe] = [...DEMO_SERVICES, DEMO_PROBE].map(({ id }) =>
  parseSpiffeId(id),
) as [SpiffeId, SpiffeId, SpiffeId, SpiffeId, SpiffeId];

const ALL = ['orders:read', 'orders:write', 'payments:charge'];
const facts = (scopes: readonly string[], actors: readonly SpiffeId[], depth = actors.length) => ({
  subject: 'u:alice',
  client: 'shop-web',
  consent: 'c1',
  purpose: 'shopping',
  scopes,
  actors,
  depth,
  own: false,
  details: null,
});

function call(
  caller: SpiffeId,
  service: SpiffeId,
  method: string,
  path: string,
  given = facts(ALL, [storefront]),
): Decision {
  return decideCall(compiled, {
    nowS: NOW_S,
    caller,
    service,
    route: matchRoute(compiled, service, method, path),
    facts: given,
  });
}

/** At the entry the chain has no link yet. */
const atEntry = facts(ALL, [storefront], 0);

const charge = '/shop.payments.v1.Payments/Charge';

test('a user’s order goes through storefront, orders and payments', () => {
  expect(call(storefront, storefront, 'POST', '/checkout', atEntry).kind).toBe('allow');
  expect(call(storefront, orders, 'POST', '/orders/o-1/pay').kind).toBe('allow');
  expect(call(orders, payments, 'POST', charge, facts(['payments:charge'], [storefront, orders])).kind).toBe('allow');
});

test('every route of the storefront is known and open to a user with all scopes', () => {
  const routes = snapshot.services[storefront]?.routes ?? [];
  expect(routes).toHaveLength(8);
  for (const { method, template } of routes) {
    const path = template.replaceAll(/\{\w+\}/g, 'x');
    expect(call(storefront, storefront, method, path, atEntry), template).toMatchObject({ kind: 'allow' });
  }
});

test('inventory may ask payments for its terms, and is refused by policy when it charges', () => {
  const held = facts(ALL, [storefront, inventory]);
  expect(call(inventory, payments, 'POST', '/shop.payments.v1.Payments/Terms', held).kind).toBe('allow');
  expect(call(inventory, payments, 'POST', charge, held)).toMatchObject({
    kind: 'deny',
    code: 'policy_denied',
    policies: [],
  });
});

test('money back needs a scope that the demo user never grants', () => {
  const held = facts(['orders:write', 'payments:charge'], [storefront, orders]);
  expect(call(orders, payments, 'POST', '/shop.payments.v1.Payments/Refund', held)).toMatchObject({
    code: 'insufficient_scope',
  });
});

test('the probe may call what is harmless, and not charge', () => {
  const held = facts(['payments:charge'], [probe]);
  expect(call(probe, payments, 'POST', '/shop.payments.v1.Payments/EchoUser', held).kind).toBe('allow');
  expect(call(probe, payments, 'POST', charge, held)).toMatchObject({ code: 'policy_denied' });
});

test('payments is told yes for the user’s own order and no for another’s', () => {
  const ask = (owner: string, action = 'charge', caller = orders) =>
    decideResource(compiled, {
      nowS: NOW_S,
      caller,
      service: payments,
      action,
      resource: { type: 'Order', id: 'o-1', attributes: { owner, amount: 1250 } },
      facts: facts(['payments:charge'], [storefront, orders]),
    });
  expect(ask('u:alice')).toMatchObject({ kind: 'allow', policies: ['own-orders-only'] });
  expect(ask('u:bob')).toMatchObject({ kind: 'deny', code: 'policy_denied' });
  expect(ask('u:alice', 'steal')).toMatchObject({ kind: 'deny' });
  expect(ask('u:alice', 'charge', inventory)).toMatchObject({ kind: 'deny' });
});
