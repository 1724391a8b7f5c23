import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BehalfError } from '../errors/index.ts';
import { parseChain, verifyChain } from './chain/index.ts';
import type { ChainHeaders } from './chain/parsed-chain.ts';
import { isScopeSubset, parseScope } from './narrowing/scope.ts';
import { forge } from './test-forge.ts';
import { createTestMesh } from './test-mesh.ts';
import type { VerifiedChain, VerifiedRoot } from './verified.ts';

const mesh = createTestMesh();
const HEADERS = ['txnToken', 'delegationChain', 'delegationCredentials'] as const;
const chain = forge(mesh, { hops: [{ to: 'orders', claims: { scope: 'orders:read' } }, { to: 'payments' }] });
const context = mesh.context('payments', 'orders');

function refusedOrAccepted(headers: ChainHeaders): string {
  try {
    verifyChain(parseChain(headers), context);
    return 'accepted';
  } catch (error) {
    // Only refusals of ours: anything else would be answered as `internal`.
    if (!(error instanceof BehalfError) || error.code === 'internal') throw error;
    return error.code;
  }
}

function flipped(text: string, at: number, bit: number): string {
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1);
}

test('the chain itself is accepted', () => {
  expect(refusedOrAccepted(chain)).toBe('accepted');
});

test.each(HEADERS)('any flipped byte of %s is refused', (header) => {
  const text = chain[header];
  for (let at = 0; at < text.length; at++) {
    const changed = flipped(text, at, at % 8);
    expect(refusedOrAccepted({ ...chain, [header]: changed }), `${header} at ${at}`).not.toBe('accepted');
  }
});

test.each(HEADERS)('%s cut short, made longer or with a part left out is refused', (header) => {
  const text = chain[header];
  fc.assert(
    fc.property(
      fc.nat(text.length - 1),
      fc.integer({ min: 1, max: 60 }),
      fc.string({ maxLength: 8 }),
      (at, length, put) => {
        const changed = text.slice(0, at) + put + text.slice(at + length);
        fc.pre(changed !== text);
        expect(refusedOrAccepted({ ...chain, [header]: changed })).not.toBe('accepted');
      },
    ),
    { numRuns: 500 },
  );
});

test('random headers give only coded refusals', () => {
  const part = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.base64String(),
    fc.constantFrom('', '.', '..', ', ', 'e30.e30.AA'),
  );
  const header = fc.option(fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')));
  fc.assert(
    fc.property(header, header, header, (txnToken, delegationChain, delegationCredentials) => {
      expect(refusedOrAccepted({ txnToken, delegationChain, delegationCredentials })).not.toBe('accepted');
    }),
    { numRuns: 2000 },
  );
});

test('roots and links of random JSON, validly signed, give only coded refusals', () => {
  const claim = fc.constantFrom(
    'iss',
    'aud',
    'iat',
    'exp',
    'txn',
    'sub',
    'scope',
    'req_wl',
    'tctx',
    'par_hash',
    'jti',
    'del_depth',
    'wth',
    'next',
    'rte',
    'once',
    '__proto__',
    'constructor',
  );
  const changes = fc.dictionary(claim, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 });
  fc.assert(
    fc.property(changes, changes, (root, claims) => {
      refusedOrAccepted(forge(mesh, { root, hops: [{ to: 'orders', claims }, { to: 'payments' }] }));
    }),
    { numRuns: 200 },
  );
});

const token = fc.constantFrom('orders:read', 'orders:write', 'payments:charge', 'admin', 'a');
const wanted = fc.option(fc.uniqueArray(token, { maxLength: 4 }));
const routes = fc.uniqueArray(fc.constantFrom('orders', 'payments', 'inventory', 'ledger'), {
  minLength: 1,
  maxLength: 4,
});

test('narrowing never widens: whatever is asked for at each hop, what arrives is a subset of what was held', () => {
  fc.assert(
    fc.property(routes, fc.array(wanted, { minLength: 4, maxLength: 4 }), (names, asked) => {
      let held: VerifiedRoot | VerifiedChain = mesh.root();
      for (const [i, name] of names.entries()) {
        const narrowTo = asked[i] ?? null;
        const order = () => mesh.link(held, name, { narrowTo });
        if (narrowTo !== null && !isScopeSubset(narrowTo, held.scope)) {
          expect(order).toThrow(/delegation_scope_widened/);
          return;
        }
        const received = mesh.receive(order());
        expect(isScopeSubset(received.scope, held.scope)).toBe(true);
        if (narrowTo !== null) expect([...received.scope].sort()).toEqual([...narrowTo].sort());
        expect(received.expS).toBeLessThanOrEqual(held.expS);
        expect(received.maxDepth).toBeLessThanOrEqual(held.maxDepth);
        expect(received.sub).toBe(held.sub);
        held = received;
      }
    }),
    { numRuns: 100 },
  );
});

test('a forged link is accepted exactly when its scope is a subset', () => {
  fc.assert(
    fc.property(fc.uniqueArray(token), fc.uniqueArray(token), (first, second) => {
      const root = { scope: 'orders:read orders:write payments:charge a' };
      const hops = [
        { to: 'orders', claims: { scope: first.join(' ') } },
        { to: 'payments', claims: { scope: second.join(' ') } },
      ];
      const narrows = isScopeSubset(first, root.scope.split(' ')) && isScopeSubset(second, first);
      expect(refusedOrAccepted(forge(mesh, { root, hops }))).toBe(narrows ? 'accepted' : 'delegation_scope_widened');
    }),
    { numRuns: 100 },
  );
});

test('parse of a scope that was written is identity, and what is parsed has no token twice', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 12 }), (text) => {
      const tokens = parseScope(text);
      if (tokens === null) return;
      expect(tokens.join(' ')).toBe(text);
      expect(new Set(tokens).size).toBe(tokens.length);
    }),
    { numRuns: 2000 },
  );
});
