/** Details in words, from what the registry says of their type: for the consent page, for `chain show` and for records. */
import { isJsonArray, isJsonObject, type JsonValue } from '../../identity/jws.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { formatAmount, parseAmount } from './amount.ts';
import type { DetailTypes, MemberSchema, TextSchema } from './detail-type.ts';
import { hasDetailForm } from './form.ts';
import { PLAIN_TEXT } from './text-patterns.ts';

/** `Pay at most 120.00 EUR to “ACME”`. What is of no registered type and form is called by its type, and nothing else is shown of it. */
export function tellDetail(entry: AuthorizationDetail, types: DetailTypes): string {
  const type = types.get(entry.type);
  if (type === undefined || !hasDetailForm(entry, type)) {
    return `details of type ${JSON.stringify(entry.type.slice(0, 64))}, which says nothing here`;
  }
  return tellWords(type.words, (member) => textOf(entry[member], type.schema.properties[member] as MemberSchema));
}

/** Fills the words of a type: `{member}` becomes its value, and a part in brackets is left out where a value is missing. */
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

function textOf(value: JsonValue | undefined, schema: MemberSchema): string | null {
  if (value === undefined || value === null) return null;
  if (isJsonArray(value)) {
    const items = 'items' in schema ? schema.items : null;
    return value.map((item) => tellText(String(item), items)).join(', ');
  }
  if (!isJsonObject(value)) return tellText(String(value), 'pattern' in schema ? schema : null);
  const amount = parseAmount(value);
  if (amount !== null) return formatAmount(amount);
  const properties = 'properties' in schema ? schema.properties : {};
  return Object.entries(value)
    .map(([name, text]) => tellText(String(text), properties[name] ?? null))
    .join(' ');
}

/**
 * A text of words is a client's: it may hold a sentence like ours, that names an account which the entry does not. It stands in
 * quotes, which it cannot close.
 */
function tellText(text: string, schema: TextSchema | null): string {
  return schema?.pattern === PLAIN_TEXT ? `“${text.replaceAll(/\p{Quotation_Mark}/gu, "'")}”` : text;
}
