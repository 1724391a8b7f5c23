/** The type `payment`, the first that every verifier knows: pay up to a limit, to a creditor where one is named. */
import { AMOUNT_SCHEMA } from './amount.ts';
import { type DetailType, type DetailTypes, detailTypesOf } from './detail-type.ts';
import { IBAN, PLAIN_TEXT, VISIBLE_ASCII } from './text-patterns.ts';

const tokens = (maxItems: number, maxLength: number) =>
  ({
    type: 'array',
    items: { type: 'string', pattern: VISIBLE_ASCII, minLength: 1, maxLength },
    minItems: 1,
    maxItems,
    uniqueItems: true,
  }) as const;

/** Members in the spirit of RFC 9396 section 2's own example; `limit` says at most, where the RFC instructs an amount. */
export const PAYMENT: DetailType = {
  type: 'payment',
  title: 'Payment',
  words:
    'Pay at most {limit}[ to {creditorName}][ (account {creditorAccount})][, for {identifier}][, only: {actions}][, at {locations}]',
  schema: {
    type: 'object',
    properties: {
      type: { const: 'payment' },
      limit: AMOUNT_SCHEMA,
      creditorName: { type: 'string', pattern: PLAIN_TEXT, minLength: 1, maxLength: 70 },
      creditorAccount: {
        type: 'object',
        properties: { iban: { type: 'string', pattern: IBAN, maxLength: 34 } },
        required: ['iban'],
        additionalProperties: false,
      },
      identifier: { type: 'string', pattern: PLAIN_TEXT, minLength: 1, maxLength: 64 },
      actions: tokens(8, 32),
      locations: tokens(4, 128),
    },
    required: ['type', 'limit'],
    additionalProperties: false,
  },
  rules: {
    limit: 'max-amount',
    creditorName: 'equal',
    creditorAccount: 'equal',
    identifier: 'equal',
    actions: 'subset',
    locations: 'subset',
  },
  spends: 'limit',
};

/** Types of the format itself; a policy may register more beside them. */
export const BUILT_IN_DETAIL_TYPES: DetailTypes = detailTypesOf([PAYMENT]);
