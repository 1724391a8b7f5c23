/** Dividing what can be spent: the sum of what goes out stays within what came in, whatever the order of calls. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type AuthorizationDetail,
  BUILT_IN_DETAIL_TYPES,
  detailTypesOf,
  PAYMENT,
  parseDetailType,
} from '../../../delegation/index.ts';
import { createTestMesh } from '../../../delegation/test-mesh.ts';
import { BehalfError } from '../../../errors/index.ts';
import { readAskedDetails } from './asked-details.ts';
import { createDetailShares } from './detail-shares.ts';

const mesh = createTestMesh();
const TYPES = BUILT_IN_DETAIL_TYPES;
const pay = (amount: string, more: object = {}): AuthorizationDetail => ({
  type: 'payment',
  limit: { currency: 'EUR', amount },
  ...more,
});
const held = (...details: AuthorizationDetail[]) => {
  const { tctx } = mesh.rootClaims();
  return mesh.root({ tctx: { ...tctx, authorization_details: details } });
};
function codeOf(run: () => unknown): string {
  try {
    run();
    return 'taken';
  } catch (error) {
    if (!(error instanceof BehalfError)) throw error;
    return error.code;
  }
}

test('shares are taken until the limit is reached, and not a cent more', () => {
  const shares = createDetailShares();
  const root = held(pay('100.00'));
  expect(shares.take(root, [pay('60.00')], TYPES)).toMatchObject({ details: [pay('60.00')], divided: true });
  expect(codeOf(() => shares.take(root, [pay('40.01')], TYPES))).toBe('details_exhausted');
  expect(codeOf(() => shares.take(root, [pay('40.00')], TYPES))).toBe('taken');
  expect(codeOf(() => shares.take(root, [pay('0.01')], TYPES))).toBe('details_exhausted');
  expect(codeOf(() => shares.take(root, [], TYPES))).toBe('taken');
});

test('more than the delegation has is a widening, whatever was spent', () => {
  const shares = createDetailShares();
  expect(codeOf(() => shares.take(held(pay('100.00')), [pay('100.01')], TYPES))).toBe('delegation_scope_widened');
  expect(codeOf(() => shares.take(held(pay('9')), [pay('1'), pay('1')], TYPES))).toBe('delegation_scope_widened');
  expect(codeOf(() => shares.take(mesh.root(), [pay('1')], TYPES))).toBe('delegation_scope_widened');
});

test('without a wish what can be spent stays here, and all else goes on', () => {
  const type = { type: 'read', title: 'Read', words: 'Read', spends: null, rules: {} };
  const schema = {
    type: 'object',
    properties: { type: { const: 'read' } },
    required: ['type'],
    additionalProperties: false,
  };
  const types = detailTypesOf([PAYMENT, parseDetailType({ ...type, schema })]);
  const shares = createDetailShares();
  expect(shares.take(held(pay('1'), { type: 'read' }), null, types).details).toEqual([{ type: 'read' }]);
  expect(shares.take(held(pay('1')), null, types).details).toEqual([]);
  expect(shares.take(held({ type: 'read' }), null, types).details).toBeNull();
  expect(shares.take(mesh.root(), null, types).details).toBeNull();
});

test('a share that never left is given back', () => {
  const shares = createDetailShares();
  const root = held(pay('5'));
  shares.take(root, [pay('5')], TYPES).giveBack();
  expect(codeOf(() => shares.take(root, [pay('5')], TYPES))).toBe('taken');
});

test('one delegation that is presented twice has one limit; another one has its own', () => {
  const shares = createDetailShares();
  const root = held(pay('5'));
  shares.take(root, [pay('5')], TYPES);
  expect(codeOf(() => shares.take({ ...root }, [pay('1')], TYPES))).toBe('details_exhausted');
  expect(codeOf(() => shares.take(held(pay('5'), pay('5', { identifier: 'x' })), [pay('1')], TYPES))).toBe('taken');
});

test('an entry that is used up leaves room in another one of the same kind', () => {
  const shares = createDetailShares();
  const root = held(pay('10'), pay('20'));
  for (const amount of ['10', '10', '10']) expect(codeOf(() => shares.take(root, [pay(amount)], TYPES))).toBe('taken');
  expect(codeOf(() => shares.take(root, [pay('1')], TYPES))).toBe('details_exhausted');
});

test('at the bound nothing that counts is forgotten: the call is refused', () => {
  const shares = createDetailShares({ maxCounted: 1 });
  const root = held(pay('5'));
  const other = { ...held(pay('5')), parent: { ...root.parent, signingInputS256: 'other' } };
  shares.take(root, [pay('1')], TYPES);
  expect(codeOf(() => shares.take(other, [pay('1')], TYPES))).toBe('overloaded');
  shares.evictExpired(root.expS + 64);
  expect(codeOf(() => shares.take(other, [pay('1')], TYPES))).toBe('overloaded');
  shares.evictExpired(root.expS + 65);
  expect(codeOf(() => shares.take(other, [pay('1')], TYPES))).toBe('taken');
});

test('whatever is asked, each entry’s shares stay within its limit', () => {
  const amounts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(amounts, fc.array(amounts, { maxLength: 12 }), (limits, wishes) => {
      const shares = createDetailShares();
      const root = held(...limits.map((limit) => pay(String(limit))));
      let sum = 0;
      for (const wish of wishes) {
        const asked = wish.map((amount) => pay(String(amount)));
        if (codeOf(() => shares.take(root, asked, TYPES)) === 'taken') sum += wish.reduce((a, b) => a + b, 0);
      }
      expect(sum).toBeLessThanOrEqual(limits.reduce((a, b) => a + b, 0));
    }),
    { numRuns: 300 },
  );
});

test.each<[string, string[]]>([
  ['twice', ['delegation-details', '[]', 'delegation-details', '[]']],
  ['in another spelling', ['delegation_details', '[]']],
  ['with no JSON', ['delegation-details', 'payment']],
  ['with an object', ['delegation-details', '{"type":"payment"}']],
  ['with a fraction', ['delegation-details', '[{"type":"payment","limit":1.5}]']],
  ['with a name twice', ['delegation-details', '[{"type":"payment","type":"x"}]']],
  ['empty', ['delegation-details', '']],
])('Delegation-Details %s is malformed', (_, headers) => {
  expect(codeOf(() => readAskedDetails(headers))).toBe('request_malformed');
});

test('Delegation-Details says which entries, an empty list says none, its absence says nothing', () => {
  expect(readAskedDetails(['delegation-details', '[{"type":"payment"}]'])).toEqual([{ type: 'payment' }]);
  expect(readAskedDetails(['delegation-details', '[]'])).toEqual([]);
  expect(readAskedDetails(['x', 'y'])).toBeNull();
});
