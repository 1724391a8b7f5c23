import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { BehalfError, type ErrorDetail } from '../../errors/index.ts';
import type { StatementKey } from '../../identity/index.ts';
import { parseSnapshot } from '../snapshot/parse-snapshot.ts';
import { signSnapshot, verifySnapshot } from '../snapshot/sign-snapshot.ts';
import type { PolicySnapshot } from '../snapshot/snapshot.ts';
import { SHOP_FILES, SHOP_SOURCE } from '../testing/shop.ts';
import { buildSnapshot } from './build-snapshot.ts';

function refusal(run: () => unknown): { code: string; detail: ErrorDetail } | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof BehalfError) return { code: error.code, detail: error.detail };
    throw error;
  }
}

const built = buildSnapshot(SHOP_SOURCE);
interface Draft {
  services: Record<string, object>;
  settings: object;
  edges: object[];
}
const changed = (change: (json: Draft) => void): unknown => {
  const json = structuredClone(built) as unknown as Draft;
  change(json);
  return json;
};

test('a policy folder becomes a snapshot, and its JSON is read back as the same', () => {
  const orders = built.services['spiffe://shop.example/orders'];
  expect(orders?.routes.map(({ method, template, scopes }) => [method, template, scopes])).toEqual([
    ['GET', '/v1/orders', ['orders:read']],
    ['POST', '/v1/orders', ['orders:read', 'orders:write']],
    ['GET', '/v1/orders/{id}', ['orders:read']],
    ['GET', '/v1/health', []],
  ]);
  expect(built.services['spiffe://shop.example/payments']?.protocol).toBe('grpc');
  expect(Object.keys(built.cedar.policies)).toEqual(['shop-calls', 'no-health-from-outside', 'own#1', 'own#2']);
  expect(built.edges[1]).toEqual({
    from: 'spiffe://shop.example/orders',
    to: 'spiffe://shop.example/payments',
    narrow_to: ['payments:charge'],
    max_depth: null,
    next: null,
    min_context: null,
  });
  expect(parseSnapshot(JSON.parse(JSON.stringify(built)))).toEqual(built);
});

test('an edge limits depth and who may follow, a route demands what links are bound to', () => {
  const mesh = SHOP_FILES['mesh.yaml']!.replace(
    '- { from: storefront, to: orders }',
    '- { from: storefront, to: orders, maxDepth: 2, next: [payments, "spiffe://shop.example/inventory"] }',
  ).replace('scopes: [] }] }', 'scopes: [], bind: route }] }');
  const { edges, services } = buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, 'mesh.yaml': mesh } });
  expect(edges[0]).toMatchObject({
    max_depth: 2,
    next: ['spiffe://shop.example/payments', 'spiffe://shop.example/inventory'],
  });
  expect(services['spiffe://shop.example/inventory']?.routes[0]?.bind).toBe('route');
});

test('a snapshot that was signed before there were such limits is still read, and has none', () => {
  const old = changed((json) => {
    for (const edge of json.edges)
      for (const name of ['max_depth', 'next', 'min_context']) Reflect.deleteProperty(edge, name);
    Reflect.deleteProperty(json.settings, 'min_context');
    for (const service of Object.values(json.services)) {
      for (const route of (service as { routes: object[] }).routes) Reflect.deleteProperty(route, 'bind');
    }
  });
  expect(parseSnapshot(old)).toEqual(built);
});

test.each<[string, string, (text: string) => string, RegExp]>([
  [
    'an unknown key',
    'mesh.yaml',
    (t) => t.replace('reason: cards', 'reason: cards, colour: red'),
    /^mesh\.yaml:12 services\.payments\.colour$/,
  ],
  ['a YAML slip', 'mesh.yaml', (t) => `${t}\n  - [`, /mesh\.yaml:\d+/],
  ['a key twice', 'mesh.yaml', (t) => `${t}\nscopes: {}`, /mesh\.yaml:\d+/],
  [
    'a missing file',
    'mesh.yaml',
    (t) => t.replace('payments.proto', 'nowhere.proto'),
    /^mesh\.yaml:12 services\.payments\.proto$/,
  ],
  [
    'an edge to nowhere',
    'mesh.yaml',
    (t) => t.replace('to: payments,', 'to: nowhere,'),
    /^mesh\.yaml:22 edges\[1\]\.to$/,
  ],
  [
    'a next that is no service',
    'mesh.yaml',
    (t) => t.replace('narrowTo: ["payments:charge"]', 'next: [mallory]'),
    /edges\[1\]\.next/,
  ],
  [
    'a next twice',
    'mesh.yaml',
    (t) => t.replace('narrowTo: ["payments:charge"]', 'next: [orders, orders]'),
    /edges\[1\]\.next/,
  ],
  [
    'a depth of nothing',
    'mesh.yaml',
    (t) => t.replace('narrowTo: ["payments:charge"]', 'maxDepth: 0'),
    /edges\[1\]\.maxDepth/,
  ],
  ['an unknown binding', 'mesh.yaml', (t) => t.replace('scopes: [] }] }', 'scopes: [], bind: path }] }'), /bind/],
  [
    'a scope outside the catalogue',
    'mesh.yaml',
    (t) => t.replace('narrowTo: ["payments:charge"]', 'narrowTo: ["x"]'),
    /edges\[1\]\.narrowTo/,
  ],
  [
    'two route sources',
    'mesh.yaml',
    (t) => t.replace('proto: payments.proto', 'proto: payments.proto, openapi: x'),
    /services\.payments/,
  ],
  [
    'a name for two IDs',
    'mesh.yaml',
    (t) => t.replace('workloads:\n  storefront:', 'workloads:\n  storefront:\n    id: spiffe://shop.example/other'),
    /storefront/,
  ],
  [
    'a reserved ID',
    'mesh.yaml',
    (t) => t.replace('inventory: { owner', 'inventory: { id: spiffe://shop.example/behalf/ca, owner'),
    /^mesh\.yaml:13 services\.inventory$/,
  ],
  ['a setting out of bounds', 'mesh.yaml', (t) => `${t}\nsettings: { rootReuseS: 31 }`, /settings\.rootReuseS/],
  ['Cedar that does not parse', 'calls.cedar', (t) => `${t}\npermit(`, /calls\.cedar:\d+/],
  ['an id twice', 'own.cedar', (t) => `@id("shop-calls") permit(principal, action, resource);${t}`, /own\.cedar/],
  ['a template', 'own.cedar', (t) => `permit(principal == ?principal, action, resource);${t}`, /own\.cedar/],
  [
    'a policy against the schema',
    'own.cedar',
    (t) => t.replace('resource.owner', 'resource.wner'),
    /^own\.cedar:2 own#1$/,
  ],
  ['a schema that does not parse', 'schema.cedarschema', (t) => `${t}\nentity`, /^schema\.cedarschema:\d $/],
  ['a second action `call`', 'schema.cedarschema', (t) => `${t}\naction call;`, /^schema\.cedarschema $/],
  [
    'an operation without security',
    'orders.openapi.yaml',
    (t) => t.replace(', security: []', ''),
    /^orders\.openapi\.yaml:15 paths\.\/health\.get\.security$/,
  ],
])('a folder with %s is refused at its place', (_, file, change, at) => {
  const text = SHOP_FILES[file] ?? '';
  expect(change(text)).not.toBe(text);
  const found = refusal(() => buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, [file]: change(text) } }));
  expect(found?.code).toBe('snapshot_invalid');
  const { at: place, key = '', policy = '' } = found!.detail;
  expect(`${place} ${key}${policy}`).toMatch(at);
});

test.each<[string, (json: Draft) => void]>([
  ['an unknown member', (json) => Object.assign(json, { extra: 1 })],
  ['a missing member', (json) => Reflect.deleteProperty(json, 'edges')],
  ['another version', (json) => Object.assign(json, { version: 2 })],
  ['number 0', (json) => Object.assign(json, { number: 0 })],
  ['an end before its beginning', (json) => Object.assign(json, { valid_until: 1 })],
  [
    'a service of another trust domain',
    (json) => Object.assign(json.services, { 'spiffe://other/x': Object.values(json.services)[0] }),
  ],
  [
    'an ID that is none',
    (json) => Object.assign(json.services, { 'spiffe://shop.example/x/': Object.values(json.services)[0] }),
  ],
  ['staleness without limit', (json) => Object.assign(json.settings, { max_staleness_s: { authority: 1e9, ca: 300 } })],
  ['a list for an object', (json) => Object.assign(json, { services: [] })],
  ['a text for a list', (json) => Object.assign(json, { edges: 'all' })],
  ['an edge twice', (json) => Object.assign(json, { edges: [...json.edges, json.edges[0]] })],
  [
    'an endpoint without a port',
    (json) => Object.assign(Object.values(json.services)[0] as object, { endpoints: ['h'] }),
  ],
  [
    'a lower-case method',
    (json) => Object.assign((Object.values(json.services)[0] as { routes: object[] }).routes[0]!, { method: 'get' }),
  ],
])('a snapshot with %s is refused', (_, change) => {
  expect(refusal(() => parseSnapshot(changed(change)))?.code).toBe('snapshot_invalid');
});

test('only a policy key signs a snapshot', () => {
  const pair = generateKeyPairSync('ed25519');
  const other = generateKeyPairSync('ed25519');
  const signer: StatementKey = { kid: 'p1', key: pair.privateKey };
  const keys: StatementKey[] = [{ kid: 'p1', key: pair.publicKey }];
  const statement = signSnapshot(built, signer);
  expect(verifySnapshot(statement, keys) satisfies PolicySnapshot).toEqual(built);
  expect(refusal(() => verifySnapshot(statement, [{ kid: 'p1', key: other.publicKey }]))?.code).toBe(
    'statement_untrusted',
  );
  expect(refusal(() => verifySnapshot(statement, []))?.code).toBe('statement_untrusted');
  const payload = Buffer.from(statement.payload.toString().replace('"number":1', '"number":2'));
  expect(refusal(() => verifySnapshot({ ...statement, payload }, keys))?.code).toBe('statement_untrusted');
});
