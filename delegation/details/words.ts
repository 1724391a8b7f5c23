/** Details in words, from what the registry says of their type: for the consent page, for `chain show` and for records. */
import { isJsonArray, isJsonObject, type JsonValue } from '../../identity/jws.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { formatAmount, parseAmount } from './amount.ts';
import type { DetailTypes } from './detail-type.ts';
import { hasDetailForm } from './form.ts';

/** `Pay at most 120.00 EUR to ACME`. What is of no registered type and form is called by its type, and nothing else is shown of it. */
export function tellDetail(entry: AuthorizationDetail, types: DetailTypes): string {
  const type = types.get(entry.type);
  if (type === undefined || !hasDetailForm(entry, type)) {
    return `details of type ${JSON.stringify(entry.type.slice(0, 64))}, which says nothing here`;
  }
  return tellWords(type.words, (member) => textOf(entry[member]));
}

/**
 * Fills the words of a type: `{member}` becomes its value, and a part in brackets is left out where a value is missing. Values are
 * put in as they are: what they may hold, the schema says.
 */
function tellWords(words: string, valueIn: (member: string) => string | null): string {
  return partsOfWords(words)
    .map(({ text, optional }) => {
      const pieces = text.split('{').map((piece, i) => {
        if (i === 0) return piece;
        const end = piece.indexOf('}');
        const value = valueIn(piece.slice(0, end));
        return value === null ? null : value + piece.slice(end + 1);
      });
      return optional && pieces.includes(null) ? '' : pieces.map((piece) => piece ?? '').join('');
    })
    .join('');
}

/** Parts in brackets and outside them. Brackets do not nest, which `parseDetailType` holds. */
export function partsOfWords(words: string): readonly { readonly text: string; readonly optional: boolean }[] {
  return words.split('[').flatMap((piece, i) => {
    if (i === 0) return [{ text: piece, optional: false }];
    const end = piece.indexOf(']');
    return [
      { text: piece.slice(0, end), optional: true },
      { text: piece.slice(end + 1), optional: false },
    ];
  });
}

function textOf(value: JsonValue | undefined): string | null {
  if (value === undefined || value === null) return null;
  if (isJsonArray(value)) return value.join(', ');
  if (!isJsonObject(value)) return String(value);
  const amount = parseAmount(value);
  return amount === null ? Object.values(value).join(' ') : formatAmount(amount);
}
