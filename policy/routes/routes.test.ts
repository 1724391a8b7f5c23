import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BehalfError } from '../../errors/index.ts';
import type { SnapshotRoute } from '../snapshot/snapshot.ts';
import { routesFromProto } from './grpc-proto.ts';
import { routesFromOpenApi } from './openapi.ts';
import { foldSegment, splitPath } from './path.ts';
import { buildRouteTree, findRoute } from './route-tree.ts';
import { parseTemplate } from './template.ts';

const route = (method: string, template: string): SnapshotRoute => ({
  method,
  template,
  operation: `${method} ${template}`,
  scopes: [],
  passes: [],
  fresh: false,
  bind: 'none',
  details: [],
});
const routes = (...names: string[]): SnapshotRoute[] =>
  names.map((name) => route(name.split(' ')[0] ?? '', name.split(' ')[1] ?? ''));

function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof BehalfError) return error.code;
    throw error;
  }
}

/** The name of the route found, `null`, or the code of the refusal. */
function find(tree: ReturnType<typeof buildRouteTree>, method: string, path: string): string | null {
  try {
    return findRoute(tree, method, path)?.name ?? null;
  } catch (error) {
    if (error instanceof BehalfError) return error.code;
    throw error;
  }
}

test('the most specific template whose method fits wins, in whatever order they were written', () => {
  const names = ['GET /a/{x}/c', 'GET /a/b/d', 'GET /a/{+rest}', '* /a/b/{y}', 'POST /a/b', 'GET /', '* /{+rest}'];
  for (const order of [names, names.toReversed()]) {
    const tree = buildRouteTree(routes(...order));
    expect(find(tree, 'GET', '/a/b/d')).toBe('GET /a/b/d');
    expect(find(tree, 'POST', '/a/b/d')).toBe('* /a/b/{y}');
    expect(find(tree, 'GET', '/a/z/c')).toBe('GET /a/{x}/c');
    expect(find(tree, 'GET', '/a/z/q/r')).toBe('GET /a/{+rest}');
    expect(find(tree, 'GET', '/a/')).toBe('request_malformed');
    expect(find(tree, 'GET', '/')).toBe('GET /');
    expect(find(tree, 'PUT', '/')).toBe('* /{+rest}');
    expect(find(tree, 'PUT', '/x/y/')).toBe('* /{+rest}');
  }
});

test('a parameter takes one segment that is not empty, the rest may be empty', () => {
  const tree = buildRouteTree(routes('GET /o/{id}', 'GET /f/{+rest}'));
  expect(find(tree, 'GET', '/o/1')).toBe('GET /o/{id}');
  expect(find(tree, 'GET', '/o/')).toBeNull();
  expect(find(tree, 'GET', '/o')).toBeNull();
  expect(find(tree, 'GET', '/o/1/2')).toBeNull();
  expect(find(tree, 'GET', '/f/')).toBe('GET /f/{+rest}');
  expect(find(tree, 'GET', '/f')).toBeNull();
  expect(find(tree, 'get', '/o/1')).toBeNull();
});

test.each([
  '',
  '*',
  'orders',
  'http://x/orders',
  '//',
  '/a//b',
  '//a',
  '/.',
  '/..',
  '/a/./b',
  '/a/../b',
  '/a/%2e%2E/b',
  '/a/.%2e',
  '/a/..;x=1/b',
  '/a%2fb',
  '/a%2Fb',
  '/a\\b',
  '/a%5cb',
  '/a%5Cb',
  '/a%00',
  '/a%0d%0a',
  '/a%7f',
  '/a%',
  '/a%2',
  '/a%zz',
  '/a?b',
  '/a#b',
  '/a b',
  '/ä',
  '/a\u0000',
  `/${'x'.repeat(9_000)}`,
  '/x'.repeat(65),
])('the path %j is refused before any route is looked for', (path) => {
  const tree = buildRouteTree(routes('* /{+rest}'));
  expect(find(tree, 'GET', path)).toBe('request_malformed');
});

test('a path that another router would read as another route is refused', () => {
  const tree = buildRouteTree(routes('GET /admin', 'GET /{page}', 'GET /u/@me', 'GET /u/{name}', 'GET /v/{name}'));
  for (const path of ['/%61dmin', '/Admin', '/ADMIN', '/admin;x=1', '/admin%3bx', '/u/%40me', '/U/me']) {
    expect(find(tree, 'GET', path)).not.toBe('GET /{page}');
    expect(find(tree, 'GET', path)).not.toBe('GET /u/{name}');
  }
  expect(find(tree, 'GET', '/%61dmin')).toBe('request_malformed');
  expect(find(tree, 'GET', '/u/%40me')).toBe('request_malformed');
  expect(find(tree, 'GET', '/admin')).toBe('GET /admin');
  expect(find(tree, 'GET', '/v/Alice%20B')).toBe('GET /v/{name}');
  expect(find(tree, 'GET', '/v/%C3%A4;x')).toBe('GET /v/{name}');
});

test('templates that routers read differently, and two of one shape, are refused', () => {
  for (const bad of [
    'a',
    '',
    '/a//b',
    '/a/{+r}/b',
    '/a/{x}.json',
    '/{}',
    '/..',
    '/a/.',
    '/a%20b',
    '/a;b',
    '/a b',
    '/a?b',
  ]) {
    expect(codeOf(() => parseTemplate(bad))).toBe('snapshot_invalid');
  }
  expect(codeOf(() => buildRouteTree(routes('GET /a/{x}', 'GET /a/{y}')))).toBe('snapshot_invalid');
  expect(codeOf(() => buildRouteTree(routes('GET /a/{x}', 'POST /a/{y}')))).toBeNull();
});

/** The rule once more, slow and plain: all templates that match, the best by segment from the left, then the method. */
function reference(all: readonly SnapshotRoute[], method: string, path: string): string | null {
  const rank = (template: string): string =>
    parseTemplate(template)
      .map(({ kind }) => (kind === 'literal' ? 'a' : kind === 'parameter' ? 'b' : 'c'))
      .join('');
  const best = (segments: readonly string[], keyOf: (text: string) => string, trim: boolean): SnapshotRoute[] => {
    const fitting = all.filter(({ method: own, template }) => {
      if (own !== method && own !== '*') return false;
      let parts = parseTemplate(template);
      const last = parts.at(-1);
      if (trim && parts.length > 1 && last?.kind === 'literal' && last.text === '') parts = parts.slice(0, -1);
      const rest = last?.kind === 'rest';
      if (rest ? segments.length < parts.length : segments.length !== parts.length) return false;
      return parts.every((part, at) => {
        if (part.kind === 'rest') return true;
        return part.kind === 'parameter' ? segments[at] !== '' : keyOf(part.text) === segments[at];
      });
    });
    const key = (one: SnapshotRoute): string => {
      const kinds = rank(one.template);
      return `${trim && one.template !== '/' && one.template.endsWith('/') ? kinds.slice(0, -1) : kinds}${one.method === '*' ? 'z' : 'y'}`;
    };
    const keys = fitting.map(key).sort();
    return fitting.filter((one) => key(one) === keys[0]);
  };
  const segments = splitPath(path);
  const [found] = best(segments, (text) => text, false);
  if (found === undefined) return null;
  const folded = segments.map(foldSegment);
  if (folded.length > 1 && folded.at(-1) === '') folded.pop();
  const lenient = best(folded, foldSegment, true);
  return lenient.length > 0 && !lenient.includes(found) ? 'request_malformed' : `${found.method} ${found.template}`;
}

test('the tree finds what a plain scan of all templates finds', () => {
  const segment = fc.constantFrom('a', 'b', 'A', 'c.d', '{x}', '@');
  const template = fc
    .tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '/', '/{+rest}'))
    .map(([parts, end]) => (parts.length === 0 && end === '' ? '/' : parts.map((part) => `/${part}`).join('') + end));
  const method = fc.constantFrom('GET', 'POST', '*');
  const path = fc
    .tuple(
      fc.array(fc.constantFrom('a', 'b', 'A', 'c.d', '%61', '%40', '@', 'a;b', 'zz', 'B'), { maxLength: 5 }),
      fc.boolean(),
    )
    .map(([parts, slash]) => `/${parts.join('/')}${slash && parts.length > 0 ? '/' : ''}`);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(method, template), { maxLength: 12 }),
      fc.array(path, { minLength: 1, maxLength: 8 }),
      (named, paths) => {
        const distinct = new Map(named.map(([m, t]) => [`${m} ${t.replace('{x}', '{}')}`, route(m, t)]));
        const all: SnapshotRoute[] = [];
        for (const one of distinct.values()) if (codeOf(() => buildRouteTree([...all, one])) === null) all.push(one);
        const tree = buildRouteTree(all);
        for (const one of paths) {
          for (const verb of ['GET', 'POST', 'PUT']) expect(find(tree, verb, one)).toBe(reference(all, verb, one));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('no path makes the search do anything but answer or refuse with request_malformed', () => {
  const tree = buildRouteTree(routes('GET /a/{x}', '* /b/{+rest}', 'GET /'));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'/ab.%2eEfF5c;\\?#\u0000é'), maxLength: 30 }), (path) => {
      const found = find(tree, 'GET', path);
      expect([null, 'request_malformed', 'GET /a/{x}', '* /b/{+rest}', 'GET /']).toContain(found);
    }),
    { numRuns: 2_000 },
  );
});

const document = (operation: object, more: object = {}): object => ({
  openapi: '3.0.3',
  paths: { '/orders/{id}': { parameters: [], summary: 's', get: operation } },
  ...more,
});

test('an OpenAPI operation gives method, base path, scopes of all schemes, and x-behalf', () => {
  const operation = {
    security: [{ oauth: ['a', 'b'], key: [], other: ['a'] }],
    'x-behalf': { passes: ['c'], fresh: true, bind: 'pod', details: ['payment'] },
  };
  expect(routesFromOpenApi(document(operation, { servers: [{ url: '/v1/' }, { url: 'https://h/v1' }] }))).toEqual([
    {
      method: 'GET',
      template: '/v1/orders/{id}',
      operation: 'GET /v1/orders/{id}',
      scopes: ['a', 'b'],
      passes: ['c'],
      fresh: true,
      bind: 'pod',
      details: ['payment'],
    },
  ]);
  expect(routesFromOpenApi(document({ operationId: 'o' }, { security: [{ oauth: ['z'] }] }))[0]).toMatchObject({
    operation: 'o',
    scopes: ['z'],
    fresh: false,
    bind: 'none',
    details: [],
  });
  expect(routesFromOpenApi(document({ security: [] }, { security: [{ oauth: ['z'] }] }))[0]?.scopes).toEqual([]);
});

test.each<[string, object]>([
  ['an operation that says nothing', document({})],
  ['alternatives', document({ security: [{ a: ['x'] }, { a: ['y'] }] })],
  ['an optional requirement', document({ security: [{}, { a: ['y'] }] })],
  ['a scope that is no scope-token', document({ security: [{ a: ['x y'] }] })],
  ['an unknown member of x-behalf', document({ security: [], 'x-behalf': { passes: [], once: true } })],
  ['a binding to what is neither route nor pod', document({ security: [], 'x-behalf': { bind: 'path' } })],
  ['servers of different paths', document({ security: [] }, { servers: [{ url: '/a' }, { url: '/b' }] })],
  ['server variables', document({ security: [] }, { servers: [{ url: '/{v}' }] })],
  ['a path item by reference', { openapi: '3.0.0', paths: { '/a': { $ref: '#/x' } } }],
  ['Swagger 2', { swagger: '2.0', paths: {} }],
])('an OpenAPI document with %s is refused', (_, broken) => {
  expect(codeOf(() => routesFromOpenApi(broken))).toBe('snapshot_invalid');
});

test('a gRPC method gives its path and the scopes of its options', () => {
  const proto = (options: string): string =>
    `syntax = "proto3"; package shop.v1; service Pay { rpc Charge(A) returns (stream A) { ${options} } } message A {}`;
  const s = 'option (behalf.options.v1.scopes)';
  const bind = 'option (behalf.options.v1.bind)';
  expect(
    routesFromProto(
      proto(
        `${s} = "a"; ${s} = "b"; option (behalf.options.v1.passes) = "c"; option (behalf.options.v1.fresh) = true; ${bind} = "pod"; option (behalf.options.v1.details) = "payment";`,
      ),
    ),
  ).toEqual([
    {
      method: 'POST',
      template: '/shop.v1.Pay/Charge',
      operation: 'shop.v1.Pay.Charge',
      scopes: ['a', 'b'],
      passes: ['c'],
      fresh: true,
      bind: 'pod',
      details: ['payment'],
    },
  ]);
  expect(routesFromProto(proto(`${s} = "";`))[0]?.scopes).toEqual([]);
  for (const bad of [
    proto(''),
    proto(`${s} = "a b";`),
    proto(`${s} = "a"; ${bind} = "path";`),
    proto(`${s} = "a"; ${s} = "";`),
    'nonsense {',
    'syntax = "proto3"; message A {}',
  ]) {
    expect(codeOf(() => routesFromProto(bad))).toBe('snapshot_invalid');
  }
});
