/**
 * What of an entry is used up: a spendable limit is divided among siblings, and their sum stays within it. The sidecar that splits
 * and the authority that mints count with it, the collector checks by it. Exact; pure.
 */
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { amountToJson, parseAmount } from './amount.ts';
import type { DetailTypes } from './detail-type.ts';
import { hasDetailForm } from './form.ts';

/** A quantity of one unit: a currency's amount in ten-thousandths, or a count (unit ''). */
export interface Quantity {
  readonly unit: string;
  readonly value: bigint;
}

/** What the entry may spend; null where it is of no registered form, or of a type that spends nothing. */
export function quantityOf(entry: AuthorizationDetail, types: DetailTypes): Quantity | null {
  const type = types.get(entry.type);
  if (type === undefined || type.spends === null || !hasDetailForm(entry, type)) return null;
  const value = entry[type.spends];
  if (type.rules[type.spends] === 'max') return { unit: '', value: BigInt(value as number) };
  const amount = parseAmount(value);
  return amount === null ? null : { unit: amount.currency, value: amount.value };
}

/** The same entry with another quantity of its unit, more than zero. */
export function withQuantity(
  entry: AuthorizationDetail,
  { unit, value }: Quantity,
  types: DetailTypes,
): AuthorizationDetail {
  const type = types.get(entry.type);
  if (type === undefined || type.spends === null) return entry;
  const limit = type.rules[type.spends] === 'max' ? Number(value) : amountToJson({ currency: unit, value });
  return { ...entry, [type.spends]: limit };
}

/** Whether a part of it must not be given twice. An unregistered type is not spendable, and cannot be divided either. */
export function isSpendable(entry: AuthorizationDetail, types: DetailTypes): boolean {
  const type = types.get(entry.type);
  return type !== undefined && type.spends !== null;
}

/** Whether any of them is spendable. */
export function hasSpendable(details: readonly AuthorizationDetail[] | null, types: DetailTypes): boolean {
  return details?.some((entry) => isSpendable(entry, types)) === true;
}

/**
 * What a link leaves where the app asks for no division: what is not spendable, as it is. Null where nothing has to be said, since
 * all of it goes on unchanged.
 */
export function undivided(
  details: readonly AuthorizationDetail[] | null,
  types: DetailTypes,
): readonly AuthorizationDetail[] | null {
  if (details === null || !hasSpendable(details, types)) return null;
  // A receiver refuses what it does not know wherever it stands in a list that was narrowed.
  return details.filter((entry) => types.has(entry.type) && !isSpendable(entry, types));
}
