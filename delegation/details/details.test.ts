/** The registry, its forms and rules: held to a schema library, and to what narrowing promises. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { amountToJson, formatAmount, parseAmount } from './amount.ts';
import { detailTypesOf } from './detail-type.ts';
import { hasDetailForm, sameJson } from './form.ts';
import { isDetailSubset, matchDetails } from './narrow-details.ts';
import { parseDetailType } from './parse-detail-type.ts';
import { BUILT_IN_DETAIL_TYPES, PAYMENT } from './payment.ts';
import { parseDetailsText } from './read-details.ts';
import { isSpendable, quantityOf, undivided, withQuantity } from './spending.ts';
import { TEXT_PATTERNS } from './text-patterns.ts';
import { tellDetail } from './words.ts';

const TYPES = BUILT_IN_DETAIL_TYPES;
const bySchema = new Ajv2020({ strict: true, strictTypes: false }).compile(PAYMENT.schema);
const pay = (amount: string, more: object = {}): AuthorizationDetail => ({
  type: 'payment',
  limit: { currency: 'EUR', amount },
  ...more,
});

const CREDITS = {
  type: 'credits',
  title: 'Credits',
  words: 'Use {units} credits[ of {pool}]',
  schema: {
    type: 'object',
    properties: {
      type: { const: 'credits' },
      units: { type: 'integer', minimum: 1, maximum: 1000 },
      pool: { type: 'string', pattern: '^[!-~]*$', maxLength: 20 },
    },
    required: ['type', 'units'],
    additionalProperties: false,
  },
  rules: { units: 'max', pool: 'equal' },
  spends: 'units',
};

const amountText = fc.oneof(
  fc.constantFrom(
    '5',
    '12.30',
    '0',
    '0.0',
    '00',
    '01.00',
    '1.',
    '.5',
    '1e3',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1.00000',
    '١',
    '1,00',
    '0.00',
  ),
  fc.stringMatching(/^[0-9]{1,14}(\.[0-9]{0,5})?$/),
  fc.string({ maxLength: 6 }),
);
const currency = fc.oneof(
  fc.constantFrom('EUR', 'JPY', 'KWD', 'CLF', 'USD', 'eur', 'EU', 'EURO', ''),
  fc.string({ maxLength: 4 }),
);
const amount = fc.oneof(
  fc.record({ currency: fc.constantFrom('EUR', 'USD', 'KWD'), amount: fc.constantFrom('5', '12.30', '7.125') }),
  fc.record({ currency, amount: amountText }),
  fc.record({ currency, amount: amountText, more: fc.string() }, { requiredKeys: [] }),
  fc.jsonValue({ maxDepth: 1 }),
);
const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: 'grapheme', maxLength: 72 }),
  fc.constantFrom('ACME', '', 'a\u202eb', 'x'.repeat(70), '😀'.repeat(70), '😀'.repeat(71), 'DE89370400440532013000'),
  fc.array(fc.string({ maxLength: 4 }), { maxLength: 10 }),
  fc.record({ iban: fc.constantFrom('DE89370400440532013000', 'de89', '', 'DE89 3704 0044 0532 0130 00') }),
  fc.jsonValue({ maxDepth: 2 }),
);
const member = fc.constantFrom(
  'creditorName',
  'creditorAccount',
  'identifier',
  'actions',
  'locations',
  'later',
  '__proto__',
);
const entry = fc
  .tuple(
    fc.constantFrom('payment', 'payment', 'payment', 'payments', ''),
    fc.option(amount),
    fc.dictionary(member, odd, { maxKeys: 2 }),
  )
  .map(([type, limit, more]) => ({ type, ...(limit === null ? {} : { limit }), ...more }) as AuthorizationDetail);

test('what an entry of payment may be, the schema and the reader by hand say alike', () => {
  let taken = 0;
  fc.assert(
    fc.property(entry, (value) => {
      const byHand = hasDetailForm(value, PAYMENT);
      if (byHand) taken++;
      expect(byHand, JSON.stringify(value)).toBe(bySchema(value));
    }),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(300);
});

test('a pattern and its function say alike', () => {
  for (const [pattern, judge] of TEXT_PATTERNS) {
    const regexp = new RegExp(pattern, 'u');
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.constantFrom('DE89370400440532013000', 'a\ufeff'),
    );
    fc.assert(
      fc.property(text, (value) => {
        expect(judge(value)).toBe(regexp.test(value));
      }),
      { numRuns: 3_000 },
    );
  }
});

test('amounts are exact, and one value has one text', () => {
  const of = (currency: string, text: string) => parseAmount({ currency, amount: text });
  expect(of('EUR', '0.1')?.value).toBe(1_000n);
  expect(of('EUR', '999999999999.99')?.value).toBe(9_999_999_999_999_900n);
  expect(of('JPY', '5.0')).toBeNull();
  expect(of('EUR', '5.001')).toBeNull();
  expect(of('KWD', '5.001')).not.toBeNull();
  expect(formatAmount({ currency: 'EUR', value: 1_200_000n })).toBe('120.00 EUR');
  expect(formatAmount({ currency: 'JPY', value: 1_200_000n })).toBe('120 JPY');
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 14n - 1n }), (cents) => {
      const amount = { currency: 'EUR', value: cents * 100n };
      expect(parseAmount(amountToJson(amount))).toEqual(amount);
    }),
  );
});

test.each<[string, boolean, AuthorizationDetail, AuthorizationDetail]>([
  ['less', true, pay('10.00'), pay('120.00')],
  ['the same in another text', true, pay('120'), pay('120.00')],
  ['more', false, pay('120.01'), pay('120.00')],
  ['another currency', false, { type: 'payment', limit: { currency: 'USD', amount: '1.00' } }, pay('120.00')],
  ['a creditor that the parent left open', true, pay('1', { creditorName: 'ACME' }), pay('120.00')],
  ['no creditor where the parent names one', false, pay('1'), pay('120.00', { creditorName: 'ACME' })],
  ['another creditor', false, pay('1', { creditorName: 'ACME2' }), pay('1', { creditorName: 'ACME' })],
  ['fewer actions', true, pay('1', { actions: ['a'] }), pay('1', { actions: ['b', 'a'] })],
  ['another action', false, pay('1', { actions: ['a', 'c'] }), pay('1', { actions: ['b', 'a'] })],
  ['an amount that is a number', false, { type: 'payment', limit: { currency: 'EUR', amount: 1 } }, pay('120.00')],
  ['a member that the type does not know', false, pay('1', { later: 'x' }), pay('120.00')],
  ['a parent out of form', false, pay('1'), pay('1e9')],
])('%s: %s', (_, holds, child, parent) => {
  expect(isDetailSubset(child, parent, TYPES)).toBe(holds);
});

test('narrowing never widens: what is a subset of a subset is a subset, and everything is its own', () => {
  const good = fc
    .tuple(
      fc.integer({ min: 1, max: 400 }),
      fc.constantFrom('EUR', 'USD'),
      fc.option(fc.constantFrom('ACME', 'Other')),
      fc.option(fc.subarray(['a', 'b', 'c'], { minLength: 1 })),
    )
    .map(([units, unit, creditorName, actions]) => ({
      type: 'payment',
      limit: { currency: unit, amount: String(units) },
      ...(creditorName === null ? {} : { creditorName }),
      ...(actions === null ? {} : { actions }),
    }));
  fc.assert(
    fc.property(good, good, good, (a, b, c) => {
      expect(isDetailSubset(a, a, TYPES)).toBe(true);
      if (isDetailSubset(a, b, TYPES) && isDetailSubset(b, c, TYPES)) expect(isDetailSubset(a, c, TYPES)).toBe(true);
      if (isDetailSubset(a, b, TYPES) && isDetailSubset(b, a, TYPES)) {
        expect(quantityOf(a, TYPES)).toEqual(quantityOf(b, TYPES));
      }
    }),
    { numRuns: 3_000 },
  );
});

test('every entry gets a parent of its own where there is a way at all', () => {
  const table = fc.array(fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 5 });
  const anyWay = (rows: boolean[][], taken: number[]): boolean =>
    rows.length === 0 || rows[0]!.some((fits, p) => fits && !taken.includes(p) && anyWay(rows.slice(1), [...taken, p]));
  fc.assert(
    fc.property(table, (rows) => {
      const found = matchDetails(rows.length, 5, (i, p) => rows[i]?.[p] === true);
      expect(found !== null).toBe(anyWay(rows, []));
      if (found === null) return;
      expect(new Set(found).size).toBe(rows.length);
      for (const [i, p] of found.entries()) expect(rows[i]?.[p]).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test('what is spendable does not go on undivided, what a receiver would not know goes on only unchanged', () => {
  const types = detailTypesOf([PAYMENT, parseDetailType({ ...CREDITS, spends: null })]);
  const credits = { type: 'credits', units: 5 };
  expect(isSpendable(credits, types)).toBe(false);
  expect(undivided(null, types)).toBeNull();
  expect(undivided([credits, { type: 'unknown' }], types)).toBeNull();
  expect(undivided([credits, pay('1'), { type: 'unknown' }], types)).toEqual([credits]);
  expect(undivided([pay('1')], types)).toEqual([]);
});

test('quantities of both kinds are told and changed', () => {
  const types = detailTypesOf([PAYMENT, parseDetailType(CREDITS)]);
  const credits = { type: 'credits', units: 5 };
  expect(quantityOf(credits, types)).toEqual({ unit: '', value: 5n });
  expect(withQuantity(credits, { unit: '', value: 3n }, types)).toEqual({ type: 'credits', units: 3 });
  expect(withQuantity(pay('2', { identifier: 'x' }), { unit: 'EUR', value: 5_000n }, types)).toEqual(
    pay('0.50', { identifier: 'x' }),
  );
  expect(quantityOf(pay('1e3'), types)).toBeNull();
});

test('people are told what an entry lets others do', () => {
  const whole = pay('120', {
    creditorName: 'ACME',
    creditorAccount: { iban: 'DE89370400440532013000' },
    actions: ['initiate', 'cancel'],
  });
  expect(tellDetail(pay('120'), TYPES)).toBe('Pay at most 120.00 EUR');
  expect(tellDetail(whole, TYPES)).toBe(
    'Pay at most 120.00 EUR to “ACME” (account DE89370400440532013000), only: initiate, cancel',
  );
  expect(tellDetail({ type: 'else', note: '<b>' }, TYPES)).toBe('details of type "else", which says nothing here');
  expect(tellDetail(pay('1', { creditorName: 'A\u202eB' }), TYPES)).toBe(
    'details of type "payment", which says nothing here',
  );
  const types = detailTypesOf([parseDetailType(CREDITS)]);
  expect(tellDetail({ type: 'credits', units: 3 }, types)).toBe('Use 3 credits');
  expect(tellDetail({ type: 'credits', units: 3, pool: '{x}[y]' }, types)).toBe('Use 3 credits of {x}[y]');
});

test('a name that reads like more of the sentence stays a name', () => {
  const account = 'ACME (account DE89370400440532013000)';
  expect(tellDetail(pay('1', { creditorName: account }), TYPES)).toBe(`Pay at most 1.00 EUR to “${account}”`);
  for (const mark of ['”', '“', '"', '„', '»'])
    expect(tellDetail(pay('1', { creditorName: `ACME${mark}, only: nothing` }), TYPES)).toBe(
      "Pay at most 1.00 EUR to “ACME', only: nothing”",
    );
  expect(tellDetail(pay('1', { identifier: 'Order 7' }), TYPES)).toBe('Pay at most 1.00 EUR, for “Order 7”');
});

test('payment is itself a type that a policy could register', () => {
  const data = JSON.parse(JSON.stringify(PAYMENT));
  expect(parseDetailType(data)).toEqual(data);
});

test.each<[string, (type: Record<string, never> & typeof CREDITS) => unknown]>([
  ['no object', () => null],
  ['another member', (type) => ({ ...type, later: 1 })],
  ['a member without a rule', (type) => ({ ...type, rules: { units: 'max' } })],
  ['a rule without a member', (type) => ({ ...type, rules: { ...type.rules, more: 'equal' } })],
  ['a rule that does not fit', (type) => ({ ...type, rules: { units: 'subset', pool: 'equal' } })],
  ['something spent that has no size', (type) => ({ ...type, spends: 'pool' })],
  ['a member spent that may be absent', (type) => ({ ...type, schema: { ...type.schema, required: ['type'] } })],
  ['open ends', (type) => ({ ...type, schema: { ...type.schema, additionalProperties: true } })],
  ['a pattern of its own', (type) => withPool(type, { type: 'string', pattern: '^(a+)+$', maxLength: 20 })],
  [
    'a keyword that verifiers do not read',
    (type) => withPool(type, { type: 'string', pattern: '^[!-~]*$', maxLength: 20, not: {} }),
  ],
  ['another type within', (type) => ({ ...type, type: 'else' })],
  ['a sentence with a hole', (type) => ({ ...type, words: 'Use {pool}' })],
  ['a sentence with an open bracket', (type) => ({ ...type, words: 'Use {units} [of {pool}' })],
  ['an amount that is changed', (type) => withPool(type, { ...PAYMENT.schema.properties['limit'], allOf: [] })],
])('a type with %s is refused', (_, change) => {
  expect(() => parseDetailType(change(CREDITS as never))).toThrow(/request_malformed/);
});

function withPool(type: typeof CREDITS, pool: object): unknown {
  return { ...type, schema: { ...type.schema, properties: { ...type.schema.properties, pool } } };
}

test('a text of details is strict JSON, a list of objects with a type', () => {
  expect(parseDetailsText('[]')).toEqual([]);
  expect(parseDetailsText('[{"type":"payment"}]')).toEqual([{ type: 'payment' }]);
  for (const text of [
    '',
    '{}',
    '[1]',
    '[{}]',
    '[{"type":""}]',
    '[{"type":"a","type":"b"}]',
    '[{"type":"a","b":1.5}]',
    '[]x',
  ])
    expect(parseDetailsText(text), text).toBeNull();
  expect(parseDetailsText(`[{"type":"${'x'.repeat(5000)}"}]`)).toBeNull();
});

test('one JSON is the same whatever the order of its members', () => {
  expect(sameJson({ a: [1, { b: null }], c: 'x' }, { c: 'x', a: [1, { b: null }] })).toBe(true);
  expect(sameJson({ a: 1 }, { a: 1, b: 1 })).toBe(false);
  expect(sameJson([1, 2], [2, 1])).toBe(false);
});
