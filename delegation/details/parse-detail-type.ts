/**
 * Strict reading of a type that a policy registers. What a verifier would not judge exactly as the schema says is refused here, so
 * that one document has one meaning wherever it is read.
 */
import { BehalfError } from '../../errors/index.ts';
import { AMOUNT_SCHEMA } from './amount.ts';
import type { DetailRule, DetailType, MemberSchema } from './detail-type.ts';
import { sameJson } from './form.ts';
import { TEXT_PATTERNS } from './text-patterns.ts';
import { partsOfWords } from './words.ts';

/** Members of an entry, `type` included. */
const MAX_MEMBERS = 16;
const MAX_WORDS = 400;
const MAX_TITLE = 80;
const MAX_TEXT_LENGTH = 256;
const MAX_ITEMS = 16;

type Members = { readonly [name: string]: unknown };

/**
 * Takes a type from parsed JSON.
 * @throws {BehalfError} `request_malformed`, with the place of the first defect
 */
export function parseDetailType(value: unknown): DetailType {
  const { type, title, words, schema, rules, spends } = objectOf(value, 'type', [
    'type',
    'title',
    'words',
    'schema',
    'rules',
    'spends',
  ]);
  const name = textOf(type, 'type.type', 64);
  if (!isName(name)) throw malformed('type.type', 'not lower-case letters, digits, `_`, `-`, `.`, `:` and `/`');
  const top = objectOf(schema, 'schema', ['type', 'properties', 'required', 'additionalProperties']);
  if (top['type'] !== 'object' || top['additionalProperties'] !== false)
    throw malformed('schema', 'not of an object without further members');
  const properties = membersOf(top['properties'], 'schema.properties');
  if (!sameAs(properties['type'], { const: name }))
    throw malformed('schema.properties.type', `not {"const": "${name}"}`);
  const members = Object.keys(properties).filter((member) => member !== 'type');
  const required = namesOf(top['required'], 'schema.required', [...members, 'type']);
  if (!required.includes('type')) throw malformed('schema.required', 'lacks `type`');
  for (const member of members) checkMemberSchema(properties[member], `schema.properties.${member}`);
  const ruled = rulesOf(rules, members, properties);
  const spent = spends === null ? null : textOf(spends, 'spends', 64);
  if (spent !== null && !(required.includes(spent) && ['max', 'max-amount'].includes(ruled[spent] ?? '')))
    throw malformed('spends', 'not a required member with the rule max or max-amount');
  return {
    type: name,
    title: textOf(title, 'title', MAX_TITLE),
    words: wordsOf(words, members, required),
    schema: schema as DetailType['schema'],
    rules: ruled,
    spends: spent,
  };
}

function rulesOf(
  value: unknown,
  members: readonly string[],
  properties: Members,
): { readonly [m: string]: DetailRule } {
  const rules = objectOf(value, 'rules', members);
  for (const member of members) {
    const rule = rules[member];
    const place = `rules.${member}`;
    if (typeof rule !== 'string' || !fitsRule(rule, properties[member] as MemberSchema))
      throw malformed(
        place,
        'no rule that fits its schema: equal, subset (a list), max (an integer), max-amount (an amount)',
      );
  }
  return rules as { readonly [member: string]: DetailRule };
}

function fitsRule(rule: string, schema: MemberSchema): boolean {
  if (rule === 'subset') return schema.type === 'array';
  if (rule === 'max') return schema.type === 'integer';
  const isAmount = schema.type === 'object' && 'allOf' in schema;
  // Two texts of one amount are equal in value and not in text.
  return rule === 'max-amount' ? isAmount : rule === 'equal' && !isAmount;
}

function checkMemberSchema(value: unknown, place: string): void {
  const schema = membersOf(value, place);
  if (sameAs(schema, AMOUNT_SCHEMA)) return;
  switch (schema['type']) {
    case 'string':
      checkText(value, place);
      return;
    case 'integer': {
      const { minimum, maximum } = objectOf(value, place, ['type', 'minimum', 'maximum']);
      countOf(minimum, `${place}.minimum`, Number.MAX_SAFE_INTEGER);
      countOf(maximum, `${place}.maximum`, Number.MAX_SAFE_INTEGER);
      return;
    }
    case 'array': {
      const list = objectOf(value, place, ['type', 'items', 'minItems', 'maxItems', 'uniqueItems']);
      if (list['uniqueItems'] !== true) throw malformed(`${place}.uniqueItems`, 'not true');
      countOf(list['minItems'], `${place}.minItems`, MAX_ITEMS);
      countOf(list['maxItems'], `${place}.maxItems`, MAX_ITEMS);
      checkText(list['items'], `${place}.items`);
      return;
    }
    case 'object': {
      const texts = objectOf(value, place, ['type', 'properties', 'required', 'additionalProperties']);
      if (texts['additionalProperties'] !== false) throw malformed(`${place}.additionalProperties`, 'not false');
      const inner = membersOf(texts['properties'], `${place}.properties`);
      for (const name of Object.keys(inner)) checkText(inner[name], `${place}.properties.${name}`);
      namesOf(texts['required'], `${place}.required`, Object.keys(inner));
      return;
    }
    default:
      throw malformed(place, 'not of a form that verifiers read');
  }
}

function checkText(value: unknown, place: string): void {
  const { type, pattern, minLength, maxLength } = objectOf(
    value,
    place,
    ['type', 'pattern', 'maxLength'],
    ['minLength'],
  );
  if (type !== 'string') throw malformed(`${place}.type`, 'not string');
  if (typeof pattern !== 'string' || !TEXT_PATTERNS.has(pattern))
    throw malformed(`${place}.pattern`, 'not one of the patterns that verifiers know');
  if (minLength !== undefined) countOf(minLength, `${place}.minLength`, MAX_TEXT_LENGTH);
  countOf(maxLength, `${place}.maxLength`, MAX_TEXT_LENGTH);
}

/** Every member that stands outside brackets is required, so that a sentence has no holes. */
function wordsOf(value: unknown, members: readonly string[], required: readonly string[]): string {
  const words = textOf(value, 'words', MAX_WORDS);
  const outside = words.replace(/\[[^[\]]*\]/g, '');
  if (/[[\]]/.test(outside)) throw malformed('words', 'brackets that nest or do not close');
  for (const { text, optional } of partsOfWords(words)) {
    const rest = text.replace(/\{([^{}]*)\}/g, (_, member: string) => {
      const known = optional ? members : required.filter((name) => name !== 'type');
      if (!known.includes(member))
        throw malformed('words', `\`{${member.slice(0, 40)}}\` is no member that always stands there`);
      return '';
    });
    if (/[{}]/.test(rest)) throw malformed('words', 'braces that do not close');
  }
  return words;
}

function isName(name: string): boolean {
  return /^[a-z][a-z0-9_.:/-]*$/.test(name);
}

function sameAs(value: unknown, wanted: object): boolean {
  return sameJson(JSON.parse(JSON.stringify(value ?? null)), JSON.parse(JSON.stringify(wanted)));
}

function namesOf(value: unknown, place: string, known: readonly string[]): readonly string[] {
  if (!Array.isArray(value) || new Set(value).size !== value.length || !value.every((name) => known.includes(name)))
    throw malformed(place, 'not a list of members, each once');
  return value;
}

function countOf(value: unknown, place: string, most: number): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || !(value >= 0 && value <= most))
    throw malformed(place, `not an integer from 0 to ${most}`);
}

function textOf(value: unknown, place: string, most: number): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > most || !value.isWellFormed())
    throw malformed(place, `not a text of 1 to ${most} characters`);
  return value;
}

function objectOf<N extends string, O extends string = never>(
  value: unknown,
  place: string,
  needed: readonly N[],
  optional: readonly O[] = [],
): { readonly [name in N]: unknown } & { readonly [name in O]?: unknown } {
  const object = membersOf(value, place);
  for (const name of needed) if (!Object.hasOwn(object, name)) throw malformed(`${place}.${name}`, 'missing');
  const known: readonly string[] = [...needed, ...optional];
  for (const name of Object.keys(object)) if (!known.includes(name)) throw malformed(`${place}.${name}`, 'unknown');
  return object as { readonly [name in N]: unknown } & { readonly [name in O]?: unknown };
}

function membersOf(value: unknown, place: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(place, 'not an object');
  if (Object.keys(value).length > MAX_MEMBERS) throw malformed(place, `more than ${MAX_MEMBERS} members`);
  return value as Members;
}

function malformed(at: string, why: string): BehalfError {
  return new BehalfError('request_malformed', { at: at.slice(0, 160), why });
}
