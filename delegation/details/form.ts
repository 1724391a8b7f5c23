/**
 * Whether an entry has the form that its type's JSON Schema gives it. Reads the few forms of `detail-type.ts` by hand: a
 * verifier needs no schema library, runs no pattern over a peer's text, and a test holds the verdicts to those of one.
 */
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue } from '../../identity/jws.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { parseAmount } from './amount.ts';
import type { DetailType, ListSchema, MemberSchema, TextSchema, TextsSchema } from './detail-type.ts';
import { TEXT_PATTERNS } from './text-patterns.ts';

/** UNTRUSTED: the entry. Throws nothing. */
export function hasDetailForm(entry: AuthorizationDetail, { type, schema }: DetailType): boolean {
  if (entry.type !== type) return false;
  for (const member of schema.required) if (!Object.hasOwn(entry, member)) return false;
  for (const member of Object.keys(entry)) {
    if (member === 'type') continue;
    if (!Object.hasOwn(schema.properties, member)) return false;
    if (!hasMemberForm(entry[member] as JsonValue, schema.properties[member] as MemberSchema)) return false;
  }
  return true;
}

function hasMemberForm(value: JsonValue, schema: MemberSchema): boolean {
  switch (schema.type) {
    case 'string':
      return isText(value, schema);
    case 'integer':
      return (
        typeof value === 'number' && Number.isSafeInteger(value) && value >= schema.minimum && value <= schema.maximum
      );
    case 'array':
      return isList(value, schema);
    default:
      return 'allOf' in schema ? parseAmount(value) !== null : isTexts(value, schema);
  }
}

function isText(value: JsonValue | undefined, { pattern, minLength = 0, maxLength }: TextSchema): boolean {
  if (typeof value !== 'string') return false;
  // A character of Unicode has one or two units: what is longer than that is not counted through.
  if (value.length > 2 * maxLength) return false;
  const length = [...value].length;
  return length >= minLength && length <= maxLength && TEXT_PATTERNS.get(pattern)?.(value) === true;
}

function isList(value: JsonValue, { items, minItems, maxItems }: ListSchema): boolean {
  if (!isJsonArray(value) || value.length < minItems || value.length > maxItems) return false;
  return value.every((item) => isText(item, items)) && new Set(value).size === value.length;
}

function isTexts(value: JsonValue, { properties, required }: TextsSchema): boolean {
  if (!isJsonObject(value)) return false;
  for (const member of required) if (!Object.hasOwn(value, member)) return false;
  return Object.keys(value).every(
    (member) => Object.hasOwn(properties, member) && isText(value[member], properties[member] as TextSchema),
  );
}

/** Whether two values are the same JSON, whatever the order of members. */
export function sameJson(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  if (isJsonArray(a)) return isJsonArray(b) && a.length === b.length && a.every((value, i) => sameJson(value, b[i]));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  return sameMembers(a, b);
}

function sameMembers(a: JsonObject, b: JsonObject): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]))
  );
}
