/**
 * Types of `authorization_details` (RFC 9396 section 2.1) as data: the form of an entry as a JSON Schema, how each member
 * narrows, which member is spent, and how people are told. Data, so that a policy can register one without code, and so that
 * whoever verifies judges it alike.
 */

/**
 * When a child's member allows nothing that the parent's does not: `equal` values; `subset`, of a list; `max`, an integer no
 * larger; `max-amount`, the same currency and no more of it. A member that the parent lacks restricts nothing there, so that a
 * child may add it.
 */
export type DetailRule = 'equal' | 'subset' | 'max' | 'max-amount';

/** A text: its characters are named by a pattern of `text-patterns.ts`. */
export interface TextSchema {
  readonly type: 'string';
  readonly pattern: string;
  readonly minLength?: number;
  /** In characters of Unicode. */
  readonly maxLength: number;
}

export interface IntegerSchema {
  readonly type: 'integer';
  readonly minimum: number;
  readonly maximum: number;
}

/** A list of distinct texts. */
export interface ListSchema {
  readonly type: 'array';
  readonly items: TextSchema;
  readonly minItems: number;
  readonly maxItems: number;
  readonly uniqueItems: true;
}

/** An object of texts. */
export interface TextsSchema {
  readonly type: 'object';
  readonly properties: { readonly [member: string]: TextSchema };
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

/** An amount: `AMOUNT_SCHEMA`, nothing else. */
export interface AmountSchema {
  readonly type: 'object';
  readonly allOf: readonly object[];
}

export type MemberSchema = TextSchema | IntegerSchema | ListSchema | TextsSchema | AmountSchema;

/** JSON Schema (2020-12) of an entry, of the few forms that a verifier judges without a schema library. */
export interface DetailSchema {
  readonly type: 'object';
  readonly properties: { readonly type: { readonly const: string }; readonly [member: string]: MemberSchema | object };
  /** `type` and what else an entry needs. */
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

export interface DetailType {
  readonly type: string;
  /** For people: what it is called. */
  readonly title: string;
  /** For people: one entry in a sentence. `{member}` is its value; a part in brackets is left out where its member is absent. */
  readonly words: string;
  readonly schema: DetailSchema;
  /** Of every member but `type`. */
  readonly rules: { readonly [member: string]: DetailRule };
  /** The member that is used up (`max` or `max-amount`, required), so that siblings share it; null where nothing is. */
  readonly spends: string | null;
}

/** By `type`. */
export type DetailTypes = ReadonlyMap<string, DetailType>;

/** Types by their name; a later one of the same name does not replace an earlier one. */
export function detailTypesOf(...lists: readonly (readonly DetailType[])[]): DetailTypes {
  const types = new Map<string, DetailType>();
  for (const type of lists.flat()) if (!types.has(type.type)) types.set(type.type, type);
  return types;
}
