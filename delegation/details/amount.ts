/**
 * Amounts of money in details: `{currency, amount}` as in RFC 9396's own examples, the amount a decimal text. Exact: a text
 * becomes a whole number of ten-thousandths, and floating point is used nowhere. Pure.
 */
import { isJsonObject, type JsonValue } from '../../identity/jws.ts';

/** Decimals that the smallest unit of any currency has. */
const SCALE = 4;
/** Digits before the point. */
const MAX_WHOLE_DIGITS = 12;
const DEFAULT_DECIMALS = 2;

/** ISO 4217 currencies whose minor unit is not a hundredth. Fixed by the specification, so that all verifiers agree. */
const DECIMALS: ReadonlyMap<string, number> = new Map([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV'].map(zero),
  ...['XAF', 'XOF', 'XPF'].map(zero),
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((code) => [code, 3] as const),
  ...['CLF', 'UYW'].map((code) => [code, 4] as const),
]);

/** An amount of one currency, in ten-thousandths of its unit. */
export interface Amount {
  readonly currency: string;
  readonly value: bigint;
}

/**
 * The form of an amount as a JSON Schema; `parseAmount` reads exactly this, which a test holds. More than zero, as an entry
 * that allows nothing is no entry.
 */
export const AMOUNT_SCHEMA = {
  type: 'object',
  properties: {
    currency: { type: 'string', pattern: '^[A-Z]{3}$' },
    amount: { type: 'string', pattern: '^(?!0(\\.0+)?$)(0|[1-9][0-9]{0,11})(\\.[0-9]{1,4})?$' },
  },
  required: ['currency', 'amount'],
  additionalProperties: false,
  allOf: [0, 2, 3].map((decimals) => ({
    if: { properties: { currency: currenciesWith(decimals) } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: { amount: { type: 'string', pattern: decimalsPattern(decimals) } } },
  })),
} as const;

/** Takes an amount, or null where it is none. UNTRUSTED: the value. Throws nothing. */
export function parseAmount(value: JsonValue | undefined): Amount | null {
  if (value === undefined || !isJsonObject(value) || Object.keys(value).length !== 2) return null;
  const { currency, amount } = value;
  if (typeof currency !== 'string' || typeof amount !== 'string' || !isCurrency(currency)) return null;
  const scaled = parseDecimal(amount, decimalsOf(currency));
  return scaled === null || scaled === 0n ? null : { currency, value: scaled };
}

/** As people write it, with all decimals of the currency: `120.00 EUR`. */
export function formatAmount({ currency, value }: Amount): string {
  return `${decimalText({ currency, value })} ${currency}`;
}

/** As details write it: `{currency, amount}`. */
export function amountToJson(amount: Amount): { readonly currency: string; readonly amount: string } {
  return { currency: amount.currency, amount: decimalText(amount) };
}

function decimalText({ currency, value }: Amount): string {
  const decimals = decimalsOf(currency);
  const digits = value.toString().padStart(SCALE + 1, '0');
  const whole = digits.slice(0, -SCALE);
  return decimals === 0 ? whole : `${whole}.${digits.slice(-SCALE).slice(0, decimals)}`;
}

function decimalsOf(currency: string): number {
  return DECIMALS.get(currency) ?? DEFAULT_DECIMALS;
}

function isCurrency(code: string): boolean {
  if (code.length !== 3) return false;
  for (let i = 0; i < 3; i++) if (!(code.charCodeAt(i) >= 0x41 && code.charCodeAt(i) <= 0x5a)) return false;
  return true;
}

/** Digits, at most one point with digits on both sides, no leading zero, no sign, no exponent: one value, few texts. */
function parseDecimal(text: string, maxDecimals: number): bigint | null {
  const point = text.indexOf('.');
  const whole = point === -1 ? text : text.slice(0, point);
  const decimals = point === -1 ? '' : text.slice(point + 1);
  if (!isDigits(whole) || whole.length > MAX_WHOLE_DIGITS || (whole.length > 1 && whole.startsWith('0'))) return null;
  if (point !== -1 && (!isDigits(decimals) || decimals.length > maxDecimals)) return null;
  return BigInt(whole + decimals.padEnd(SCALE, '0'));
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!(text.charCodeAt(i) >= 0x30 && text.charCodeAt(i) <= 0x39)) return false;
  return text.length > 0;
}

function zero(code: string): readonly [string, number] {
  return [code, 0];
}

/** Those of the table with so many decimals; of the default, all that the table does not name. */
function currenciesWith(decimals: number): object {
  if (decimals === DEFAULT_DECIMALS) return { not: { enum: [...DECIMALS.keys()] } };
  return { enum: [...DECIMALS].filter(([, own]) => own === decimals).map(([code]) => code) };
}

function decimalsPattern(decimals: number): string {
  return decimals === 0 ? '^[0-9]+$' : `^[0-9]+(\\.[0-9]{1,${decimals}})?$`;
}
