/** The policy folder that docs/policy.md shows, block by block, is one that can be put live, and does what the page says. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../identity/index.ts';
import {
  buildSnapshot,
  compileSnapshot,
  type DelegationFacts,
  decideCall,
  demandsOfCall,
  edgeOf,
  matchRoute,
} from '../policy/index.ts';

const NOW_S = 1_800_000_000;
const PAGE = readFileSync(new URL('../docs/policy.md', import.meta.url), 'utf8');
const files = Object.fromEntries(
  [...PAGE.matchAll(/<!-- policy: (\S+) -->\n```\w+\n([\s\S]*?)```/g)].map(([, name, text]) => [name!, text!]),
);
const compiled = compileSnapshot(buildSnapshot({ files, number: 1, issuedAtS: NOW_S }));
const id = (name: string) => parseSpiffeId(`spiffe://shop.example/${name}`);
const user: DelegationFacts = {
  subject: 'u:AAAAAAAAAAAAAAAAAAAAAA',
  client: 'app',
  consent: 'c',
  purpose: 'shopping',
  scopes: ['orders:read', 'orders:write', 'payments:charge'],
  actors: [id('storefront'), id('orders')],
  depth: 2,
  own: false,
  details: null,
};

function decide(caller: string, service: string, path: string, facts: Partial<DelegationFacts> = {}) {
  const route = matchRoute(compiled, id(service), 'POST', path);
  return decideCall(compiled, {
    nowS: NOW_S,
    caller: id(caller),
    service: id(service),
    route,
    facts: { ...user, ...facts },
  });
}

test('every file that the page shows is part of the folder', () => {
  expect(Object.keys(files).sort()).toEqual([
    'calls.cedar',
    'mesh.yaml',
    'own-orders.cedar',
    'payments.proto',
    'schema.cedarschema',
    'storefront.openapi.yaml',
  ]);
});

test('the refusals of the page’s table come in its order', () => {
  const charge = '/shop.v1.Payments/Charge';
  expect(decide('orders', 'payments', charge)).toMatchObject({ kind: 'allow' });
  expect(decide('storefront', 'payments', charge).code).toBe('policy_denied');
  expect(decide('orders', 'payments', '/nothing').code).toBe('route_unknown');
  expect(decide('orders', 'payments', charge, { scopes: ['orders:read'] }).code).toBe('insufficient_scope');
  expect(decide('orders', 'payments', charge, { actors: [id('orders')] }).code).toBe('policy_denied');
  expect(decide('storefront', 'storefront', '/checkout', { depth: 0, actors: [id('storefront')] }).kind).toBe('allow');
});

test('routes demand and edges limit what the page says', () => {
  const rte = 'POST /shop.v1.Payments/Charge';
  expect(demandsOfCall(compiled, id('payments'), 'POST', '/shop.v1.Payments/Charge')).toEqual({
    rte,
    once: true,
    fresh: false,
  });
  expect(demandsOfCall(compiled, id('orders'), 'POST', '/orders')).toMatchObject({ rte: 'POST /orders', once: false });
  expect(demandsOfCall(compiled, id('storefront'), 'POST', '/checkout')).toMatchObject({ rte: null, fresh: true });
  expect(edgeOf(compiled, id('storefront'), id('orders'))).toMatchObject({
    max_depth: 2,
    next: [id('payments'), id('inventory')],
  });
  expect(edgeOf(compiled, id('orders'), id('payments'))).toMatchObject({ narrow_to: ['payments:charge'], next: [] });
});
