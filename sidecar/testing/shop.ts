/** The policy that tests of the sidecar run on: `storefront` (entry) -> `orders` -> `payments`, `inventory` beside them. */
import { buildSnapshot, type PolicySnapshot } from '../../policy/index.ts';

const FILES = {
  'mesh.yaml': `
trustDomain: shop.example
tokenIssuers: ["https://login.test"]
scopes:
  orders:read: { title: Read orders, description: See your orders }
  orders:write: { title: Place orders, description: Place and change orders }
  payments:charge: { title: Charge, description: Charge your card }
  stock:read: { title: Read stock, description: See what is in stock }
services:
  storefront: { owner: web, reason: shop, routes: [{ method: "*", path: "/{+rest}", scopes: ["orders:read"], passes: ["orders:write", "payments:charge"] }] }
  orders:
    owner: orders
    reason: order book
    routes:
      - { method: GET, path: "/orders/{id}", scopes: ["orders:read"], passes: ["payments:charge"] }
      - { method: POST, path: "/orders", scopes: ["orders:write"], passes: [] }
      - { method: "*", path: "/any/{+rest}", scopes: [], passes: ["payments:charge"] }
  payments:
    owner: pay
    reason: cards
    routes:
      - { method: POST, path: "/charges", scopes: ["payments:charge"] }
      - { method: POST, path: "/refunds", scopes: ["payments:charge", "orders:write"] }
      - { method: "*", path: "/any/{+rest}", scopes: [] }
      - { method: POST, path: "/shop.v1.Payments/{method}", scopes: ["payments:charge"] }
  inventory: { owner: stock, reason: stock, routes: [{ method: "*", path: "/{+rest}", scopes: [] }] }
workloads:
  storefront: { owner: web, reason: users enter, entry: { ceiling: ["orders:read", "orders:write", "payments:charge"] } }
  orders:
    owner: orders
    reason: acts by itself too
    entry: { ceiling: ["orders:read", "orders:write", "payments:charge"] }
    own: [{ to: payments, scopes: ["payments:charge"] }]
  payments: { owner: pay, reason: users enter here too, entry: { ceiling: ["orders:read", "payments:charge"] } }
  inventory: { owner: stock, reason: restocks, own: [{ to: payments, scopes: ["payments:charge"] }] }
edges:
  - { from: storefront, to: orders }
  - { from: orders, to: payments, narrowTo: ["payments:charge"] }
  - { from: orders, to: inventory }
  - { from: inventory, to: payments }
`,
  'schema.cedarschema': '',
  'calls.cedar': `
@id("calls")
permit(principal, action == Behalf::Action::"call", resource);

@id("no-inventory")
forbid(principal == Behalf::Workload::"spiffe://shop.example/inventory", action == Behalf::Action::"call", resource in Behalf::Service::"spiffe://shop.example/payments");
`,
};

export function shopSnapshot(number = 1): PolicySnapshot {
  return buildSnapshot({ files: FILES, number, issuedAtS: Math.floor(Date.now() / 1000) });
}
