/** A small policy folder that tests build on; other parts' tests may use it too. */
import type { PolicySource } from '../build/build-snapshot.ts';

export const SHOP_FILES: { readonly [path: string]: string } = {
  'mesh.yaml': `
trustDomain: shop.example
scopes:
  orders:read: { title: Read orders, description: See your orders }
  orders:write: { title: Place orders, description: Place and change orders }
  payments:charge: { title: Charge, description: Charge your card }
  stock:read: { title: Read stock, description: See what is in stock }
services:
  storefront:
    { owner: team-web, reason: web shop, routes: [{ method: POST, path: /checkout, scopes: ["orders:write"], passes: ["orders:read", "payments:charge"] }] }
  orders: { owner: team-orders, reason: order book, openapi: orders.openapi.yaml, endpoints: ["127.0.0.1:9443"] }
  payments: { owner: team-pay, reason: cards, proto: payments.proto }
  inventory: { owner: team-stock, reason: stock, routes: [{ method: "*", path: "/{+rest}", scopes: [] }] }
workloads:
  storefront:
    owner: team-web
    reason: where users enter
    entry: { ceiling: ["orders:read", "orders:write", "payments:charge"] }
  orders: { owner: team-orders, reason: restocks by itself, own: [{ to: inventory, scopes: ["stock:read"] }] }
edges:
  - { from: storefront, to: orders }
  - { from: orders, to: payments, narrowTo: ["payments:charge"] }
  - { from: orders, to: inventory }
`,
  'orders.openapi.yaml': `
openapi: 3.1.0
info: { title: Orders, version: "1" }
servers: [{ url: "https://orders.example/v1" }]
paths:
  /orders:
    get: { operationId: listOrders, security: [{ oauth: ["orders:read"] }] }
    post:
      operationId: placeOrder
      security: [{ oauth: ["orders:read", "orders:write"] }]
      x-behalf: { passes: ["payments:charge"], fresh: true }
  /orders/{id}:
    get: { operationId: readOrder, security: [{ oauth: ["orders:read"] }] }
  /health:
    get: { operationId: health, security: [] }
`,
  'payments.proto': `syntax = "proto3";
package shop.v1;
import "behalf/options/v1/options.proto";
service Payments {
  rpc Charge(ChargeRequest) returns (ChargeResponse) { option (behalf.options.v1.scopes) = "payments:charge"; }
}
message ChargeRequest {}
message ChargeResponse {}
`,
  'schema.cedarschema': `
action charge appliesTo { principal: [Workload], resource: [Resource], context: Delegation };
entity Order in [Service] { owner: String, amount?: Long };
action refund appliesTo { principal: [Workload], resource: [Order], context: Delegation };
`,
  'calls.cedar': `
@id("shop-calls")
permit(principal, action == Behalf::Action::"call", resource)
when { context.own || context.subject like "u:*" };

@id("no-health-from-outside")
forbid(principal, action == Behalf::Action::"call", resource)
when { resource.template == "/v1/health" && context.depth == 0 };
`,
  'own.cedar': `
permit(principal, action == Behalf::Action::"charge", resource) when { resource.owner == context.subject };

permit(principal, action == Behalf::Action::"refund", resource in Behalf::Service::"spiffe://shop.example/payments")
when { resource.owner == context.subject && resource has amount && resource.amount + 9000000000000000000 > 0 };
`,
};

export const SHOP_SOURCE: PolicySource = { files: SHOP_FILES, number: 1, issuedAtS: 1_800_000_000 };
