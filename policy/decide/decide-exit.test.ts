import { expect, test } from 'vitest';
import { codeOf } from '../../errors/index.ts';
import { parseSpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../build/build-snapshot.ts';
import type { DelegationFacts } from '../model/entities.ts';
import { parseSnapshot } from '../snapshot/parse-snapshot.ts';
import { compileSnapshot } from './compile.ts';
import { decideExit, exitNamed, exitOf, matchExitRoute } from './decide-exit.ts';

const PAY = parseSpiffeId('spiffe://shop.example/pay');
const WEB = parseSpiffeId('spiffe://shop.example/web');

const MESH = `
trustDomain: shop.example
scopes:
  "pay:charge": { title: Charge, description: Charge a card }
  "pay:read": { title: Read, description: See charges }
services:
  pay: { owner: team-pay, reason: payments, routes: [] }
workloads:
  web: { owner: team-web, reason: shop }
edges: []
`;
const BANK = `exits:
  bank:
    owner: team-pay
    reason: card payments
    origin: https://api.bank.example:443
    from: [pay]
    routes:
      - { method: POST, path: "/charges", scopes: ["pay:charge"] }
      - { method: GET, path: "/charges/{id}", scopes: [] }
    token: { audience: "https://api.bank.example", scopes: { "pay:charge": charge } }
`;
const CEDAR = `@id("bank") permit (principal, action == Behalf::Action::"exit", resource in Behalf::Exit::"bank")
  when { context.purpose != "marketing" };`;

function build(exits: string, cedar = CEDAR, files: Record<string, string> = {}) {
  return buildSnapshot({
    files: { 'mesh.yaml': MESH + exits, 'p.cedar': cedar, ...files },
    number: 1,
    issuedAtS: 1_000,
  });
}

const facts = (more: Partial<DelegationFacts> = {}): DelegationFacts => ({
  subject: 'u:AAAAAAAAAAAAAAAAAAAAAA',
  client: 'shop',
  consent: 'c1',
  purpose: 'buy',
  scopes: ['pay:charge'],
  actors: [WEB],
  depth: 1,
  own: false,
  details: null,
  ...more,
});

function decide(more: { caller?: typeof PAY; exit?: string; path?: string; nowS?: number; facts?: DelegationFacts }) {
  const compiled = compileSnapshot(build(BANK));
  const { caller = PAY, exit = 'bank', path = '/charges', nowS = 1_001 } = more;
  const route = matchExitRoute(compiled, exit, 'POST', path);
  return decideExit(compiled, { nowS, caller, exit, route, facts: more.facts ?? facts() });
}

test('an exit of this workload, a route that its scopes cover and a policy that permits it allow the call', () => {
  expect(decide({})).toMatchObject({ kind: 'allow', policies: ['bank'] });
});

test('another workload’s exit and one that there is not are refused alike', () => {
  expect(decide({ caller: WEB }).code).toBe('policy_denied');
  expect(decide({ exit: 'bonk' }).code).toBe('policy_denied');
});

test('a route that the exit does not name, a scope that is missing, a policy that does not permit and a past end are refused', () => {
  expect(decide({ path: '/admin' }).code).toBe('route_unknown');
  expect(decide({ facts: facts({ scopes: ['pay:read'] }) }).code).toBe('insufficient_scope');
  expect(decide({ facts: facts({ purpose: 'marketing' }) }).code).toBe('policy_denied');
  expect(decide({ nowS: 1e10 }).code).toBe('snapshot_stale');
  expect(decideExit(null, { nowS: 1, caller: PAY, exit: 'bank', route: null, facts: facts() }).code).toBe(
    'snapshot_stale',
  );
});

test('own authority opens only an exit that is marked for it', () => {
  const own = facts({ subject: PAY, own: true, actors: [PAY], depth: 0 });
  expect(decide({ facts: own }).code).toBe('policy_denied');
});

test('a host names an exit by its name or its origin, and only one of this workload', () => {
  const compiled = compileSnapshot(build(BANK));
  for (const host of ['bank', 'bank:8080', 'api.bank.example']) expect(exitNamed(compiled, PAY, host)).toBe('bank');
  for (const host of ['bank.example', 'api.bank.example.evil.example', ''])
    expect(exitNamed(compiled, PAY, host)).toBeNull();
  expect(exitNamed(compiled, WEB, 'bank')).toBeNull();
  expect(exitOf(compiled, PAY, 'bank')?.origin).toBe('https://api.bank.example');
});

test('a host that two exits of a workload have means neither; their names mean each', () => {
  const second =
    '  slow: { owner: o, reason: r, origin: "https://api.bank.example", from: [pay], own: { scopes: [] } }\n';
  const compiled = compileSnapshot(build(BANK + second));
  expect(exitNamed(compiled, PAY, 'api.bank.example')).toBeNull();
  expect([exitNamed(compiled, PAY, 'bank'), exitNamed(compiled, PAY, 'slow:80')]).toEqual(['bank', 'slow']);
});

test('an exit without routes has every path of its origin', () => {
  const compiled = compileSnapshot(
    build('exits: { any: { owner: o, reason: r, origin: "https://a.example", from: [pay] } }', ''),
  );
  for (const path of ['/', '/a', '/a/b/c']) expect(matchExitRoute(compiled, 'any', 'DELETE', path)).not.toBeNull();
});

test.each([
  ['a plain origin that nobody allowed', 'origin: "http://a.example"'],
  [
    'a token that would go out without TLS',
    'origin: "http://a.example", plain: true, token: { audience: a, scopes: {} }',
  ],
  ['an origin with a path', 'origin: "https://a.example/v1"'],
  ['an origin with a user', 'origin: "https://u@a.example"'],
  [
    'an audience within a mesh',
    'origin: "https://a.example", token: { audience: "spiffe://shop.example/behalf/mesh", scopes: {} }',
  ],
  ['a scope that the mesh has not', 'origin: "https://a.example", token: { audience: a, scopes: { "x:y": z } }'],
  ['a life that is too long', 'origin: "https://a.example", token: { audience: a, scopes: {}, ttlS: 301 }'],
  ['a CA that is none', 'origin: "https://a.example", tls: { ca: ca.pem }'],
  ['nobody who may call it', 'origin: "https://a.example", from: []'],
  ['a caller that there is not', 'origin: "https://a.example", from: [pax]'],
])('%s is refused', (_what, members) => {
  const from = members.includes('from:') ? '' : ', from: [pay]';
  const text = `exits: { a: { owner: o, reason: r, ${members}${from} } }`;
  try {
    build(text, '', { 'ca.pem': 'nothing' });
    expect.unreachable();
  } catch (thrown) {
    expect(codeOf(thrown)).toBe('snapshot_invalid');
  }
});

test('a policy that names an exit which there is not is refused', () => {
  expect(() => build(BANK, CEDAR.replace('"bank")', '"bonk")').replace('Exit::"bank"', 'Exit::"bonk"'))).toThrow();
});

test('two exits never share an audience: a user’s pseudonym is one an audience', () => {
  const second = BANK.replace('exits:\n', '').replace('bank:', 'bank2:');
  expect(() => build(BANK + second)).toThrow();
});

test('a snapshot that was signed before there were exits has none', () => {
  const { exits: _, cedar, ...before } = build('', '');
  const schema = cedar.schema.replaceAll(/^.*(entity Exit|action exit).*\n/gm, '');
  const old = parseSnapshot({ ...before, cedar: { ...cedar, schema } });
  expect(old.exits).toEqual({});
  expect(compileSnapshot(old).exits.size).toBe(0);
});
