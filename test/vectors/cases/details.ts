/** Step 3.10 for `authorization_details`: what may be left of a payment, and each way to make it more. */
import { ALL, bad, type ChainCase, good } from './case.ts';

const SUBSET =
  "Each entry of a link's `authorization_details` is a subset of one entry of its parent's, by the rule registered for its `type`";
const ONCE = 'each entry of the parent is used for one entry at most.';
const ORDER = 'The order of entries decides nothing.';
const FORM = "An entry that is not of its type's form is a subset of nothing, and nothing is a subset of it.";
const ADDS =
  "So a child may add a member that its parent lacks, and a child that lacks a member of its parent's is no subset.";
const OTHER = 'Any other member is not of the form.';
const AMOUNT =
  '`amount` is a text: 1 to 12 digits, the first not 0 where there are more; then, where it has decimals, a point and at least one digit';
const DIGITS = "with at most as many as the currency's minor unit has in ISO 4217.";
const VALUE = 'Amounts compare by value, exactly: `120` and `120.00` are the same.';
const CURRENCY = '`max-amount` (the same currency, and no more of it)';
const LIST = "`subset` (each element of the list is one of the parent's)";
const EQUAL = '`equal` (the same JSON, whatever the order of members)';
const UNCHANGED = 'A link that leaves the claim out leaves all entries as they are, whatever their types.';
const UNKNOWN = 'A type that is not registered cannot be narrowed.';
const EMPTY = 'An empty list of details is always a subset.';
const ACCOUNT = { iban: 'DE89370400440532013000' };

type Entry = Record<string, unknown>;
const pay = (amount: unknown, more: Entry = {}): Entry => ({
  type: 'payment',
  limit: { currency: 'EUR', amount },
  ...more,
});

/** Two hops: the root has the first list, the links leave the others; undefined leaves the claim out. */
const leaving =
  (root: Entry[], first: Entry[] | undefined, second: Entry[] | undefined): ChainCase['chain'] =>
  (mesh) => ({
    root: { tctx: { ...mesh.rootClaims().tctx, authorization_details: root } },
    hops: [
      { to: 'orders', claims: { authorization_details: first } },
      { to: 'payments', claims: { authorization_details: second } },
    ],
  });

type DetailRow = readonly [name: string, says: string, root: Entry[], last: Entry[] | undefined];

/** The first link passes the root's on; the last leaves these. */
const GOOD: readonly DetailRow[] = [
  ['less', SUBSET, [pay('120.00')], [pay('119.99')]],
  ['all', SUBSET, [pay('120.00')], [pay('120.00')]],
  ['another-text', VALUE, [pay('120.00')], [pay('120')]],
  ['one-decimal', VALUE, [pay('0.5')], [pay('0.50')]],
  ['largest', AMOUNT, [pay('999999999999.99')], [pay('999999999999.98')]],
  ['yen', DIGITS, [money('JPY', '120')], [money('JPY', '119')]],
  ['dinar', DIGITS, [money('KWD', '1.234')], [money('KWD', '1.233')]],
  ['creditor-added', ADDS, [pay('120.00')], [pay('5.00', { creditorName: 'ACME', creditorAccount: ACCOUNT })]],
  ['creditor-kept', EQUAL, [pay('9', { creditorName: 'ACME Löwe' })], [pay('9', { creditorName: 'ACME Löwe' })]],
  ['fewer-actions', LIST, [pay('9', { actions: ['initiate', 'cancel'] })], [pay('9', { actions: ['cancel'] })]],
  ['actions-in-another-order', LIST, [pay('9', { actions: ['a', 'b'] })], [pay('9', { actions: ['b', 'a'] })]],
  ['entry-left-out', SUBSET, [pay('5.00'), pay('7.00', { identifier: 'b' })], [pay('7.00', { identifier: 'b' })]],
  ['in-another-order', ORDER, [pay('10.00'), pay('20.00')], [pay('20.00'), pay('10.00')]],
  ['first-fit-is-not-it', ORDER, [pay('20.00'), pay('10.00')], [pay('5.00'), pay('15.00')]],
  ['two-alike', ONCE, [pay('10.00'), pay('10.00')], [pay('10.00'), pay('10.00')]],
  ['none-left', EMPTY, [pay('10.00')], []],
  ['absent', UNCHANGED, [pay('10.00'), { type: 'account' }], undefined],
];

const WIDER: readonly DetailRow[] = [
  ['more', CURRENCY, [pay('120.00')], [pay('120.01')]],
  ['more-by-digits', VALUE, [pay('99.99')], [pay('100')]],
  ['another-currency', CURRENCY, [pay('120.00')], [money('USD', '1.00')]],
  ['yen-for-euro', CURRENCY, [pay('120.00')], [money('JPY', '1')]],
  ['entry-twice', ONCE, [pay('10.00')], [pay('10.00'), pay('10.00')]],
  ['entry-split', ONCE, [pay('10.00')], [pay('4.00'), pay('6.00')]],
  ['parent-used-twice', ONCE, [pay('20.00'), pay('1.00')], [pay('9.00'), pay('9.00')]],
  ['entries-merged', SUBSET, [pay('10.00'), pay('10.00')], [pay('20.00')]],
  ['unknown-type-beside', UNKNOWN, [pay('1.00'), { type: 'account' }], [pay('1.00'), { type: 'account' }]],
  ['type-changed', UNKNOWN, [pay('1.00')], [{ ...pay('1.00'), type: 'Payment' }]],
  ['without-limit', FORM, [pay('1.00')], [{ type: 'payment' }]],
  ['without-currency', FORM, [pay('1.00')], [{ type: 'payment', limit: { amount: '1.00' } }]],
  ['amount-is-integer', AMOUNT, [pay('1.00')], [pay(1)]],
  ['amount-exponent', AMOUNT, [pay('100.00')], [pay('1e1')]],
  ['amount-negative', AMOUNT, [pay('100.00')], [pay('-1.00')]],
  ['amount-plus', AMOUNT, [pay('100.00')], [pay('+1.00')]],
  ['amount-leading-zero', AMOUNT, [pay('100.00')], [pay('01.00')]],
  ['amount-space', AMOUNT, [pay('100.00')], [pay(' 1.00')]],
  ['amount-comma', AMOUNT, [pay('100.00')], [pay('1,00')]],
  ['amount-point-last', AMOUNT, [pay('100.00')], [pay('1.')]],
  ['amount-point-first', AMOUNT, [pay('100.00')], [pay('.5')]],
  ['amount-empty', AMOUNT, [pay('100.00')], [pay('')]],
  ['amount-13-digits', AMOUNT, [pay('999999999999')], [pay('0000000000001')]],
  ['amount-zero', 'An amount is more than zero.', [pay('100.00')], [pay('0.00')]],
  ['amount-three-decimals', DIGITS, [pay('100.00')], [pay('1.001')]],
  ['yen-with-decimals', DIGITS, [money('JPY', '120')], [money('JPY', '1.0')]],
  ['currency-lower-case', '`currency` is three letters A-Z.', [pay('1.00')], [money('eur', '1.00')]],
  ['currency-long', '`currency` is three letters A-Z.', [pay('1.00')], [money('EURO', '1.00')]],
  ['extra-in-amount', 'An **amount** is `{currency, amount}` and nothing else.', [pay('1.00')], [extraInAmount()]],
  ['extra-member', OTHER, [pay('1.00')], [pay('1.00', { later: 'x' })]],
  ['parent-out-of-form', FORM, [pay('1.00', { later: 'x' })], [pay('1.00', { later: 'x' })]],
  ['creditor-dropped', ADDS, [pay('9', { creditorName: 'ACME' })], [pay('9')]],
  ['creditor-changed', EQUAL, [pay('9', { creditorName: 'ACME' })], [pay('9', { creditorName: 'Acme' })]],
  [
    'account-changed',
    EQUAL,
    [pay('9', { creditorAccount: ACCOUNT })],
    [pay('9', { creditorAccount: { iban: 'DE02120300000000202051' } })],
  ],
  ['creditor-not-plain', FORM, [pay('9')], [pay('9', { creditorName: 'AC\u202eME' })]],
  ['creditor-71-long', FORM, [pay('9')], [pay('9', { creditorName: 'é'.repeat(71) })]],
  ['iban-with-spaces', FORM, [pay('9')], [pay('9', { creditorAccount: { iban: 'DE89 3704 0044 0532 0130 00' } })]],
  ['action-added', LIST, [pay('9', { actions: ['a'] })], [pay('9', { actions: ['a', 'b'] })]],
  ['actions-dropped', ADDS, [pay('9', { actions: ['a'] })], [pay('9')]],
  ['actions-empty', FORM, [pay('9', { actions: ['a'] })], [pay('9', { actions: [] })]],
  ['action-twice', FORM, [pay('9', { actions: ['a'] })], [pay('9', { actions: ['a', 'a'] })]],
];

function money(currency: string, amount: string): Entry {
  return { type: 'payment', limit: { currency, amount } };
}

function extraInAmount(): Entry {
  return { type: 'payment', limit: { currency: 'EUR', amount: '1.00', rate: '2' } };
}

export const DETAIL_CASES: readonly ChainCase[] = [
  ...GOOD.map(([name, says, root, last]) => ({
    name: `good-payment-${name}`,
    says,
    chain: leaving(root, undefined, last),
    expect: good(ALL, 2),
  })),
  ...WIDER.map(([name, says, root, last]) => ({
    name: `payment-${name}`,
    says,
    chain: leaving(root, undefined, last),
    expect: bad('delegation_scope_widened'),
  })),
  {
    name: 'good-payment-narrowed-twice',
    says: SUBSET,
    chain: leaving([pay('120.00')], [pay('50.00', { creditorName: 'ACME' })], [pay('20.00', { creditorName: 'ACME' })]),
    expect: good(ALL, 2),
  },
  {
    name: 'payment-widened-again',
    says: SUBSET,
    chain: leaving([pay('120.00')], [pay('50.00')], [pay('60.00')]),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'payment-after-none',
    says: SUBSET,
    chain: leaving([pay('120.00')], [], [pay('1.00')]),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'payment-from-nothing',
    says: SUBSET,
    chain: () => ({ hops: [{ to: 'orders' }, { to: 'payments', claims: { authorization_details: [pay('1.00')] } }] }),
    expect: bad('delegation_scope_widened'),
  },
  {
    name: 'malformed-payment-amount-with-fraction',
    says: 'Every number is an integer written in digits only and below 2^53.',
    chain: leaving([pay('120.00')], undefined, [pay(1.5)]),
    expect: bad('delegation_malformed'),
  },
];
