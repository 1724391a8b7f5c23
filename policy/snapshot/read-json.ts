/**
 * Strict reading of JSON-like values: each reader takes a value and its place in the document, gives it typed, and refuses
 * anything else. Unknown members are refused, since one that is not understood may be a restriction.
 */
import { BehalfError } from '../../errors/index.ts';
import { didYouMean, nearestName } from '../../errors/nearest.ts';

/** Longest text that any member of a policy document may hold, Cedar and schema text apart. */
const MAX_TEXT_LENGTH = 2_048;

/** The refusal of a value at a place such as `services.orders.routes[2].method`. */
export function invalid(at: string, why: string): BehalfError {
  return new BehalfError('snapshot_invalid', { at: at === '' ? 'document' : at, why });
}

/**
 * Takes an object that has all of `needed`, perhaps some of `optional`, and nothing else.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function readObject<N extends string, O extends string = never>(
  value: unknown,
  at: string,
  needed: readonly N[],
  optional: readonly O[] = [],
): { readonly [name in N]: unknown } & { readonly [name in O]?: unknown } {
  const object = plainObject(value, at);
  const known: readonly string[] = [...needed, ...optional];
  for (const name of Object.keys(object)) {
    if (known.includes(name)) continue;
    const meant = didYouMean(nearestName(name, known));
    throw invalid(join(at, name), `unknown key${meant === '' ? `; known are ${known.join(', ')}` : meant}`);
  }
  for (const name of needed) {
    if (!Object.hasOwn(object, name)) throw invalid(join(at, name), 'missing');
  }
  return object as { readonly [name in N]: unknown } & { readonly [name in O]?: unknown };
}

/** Takes an object whose member names are data. @throws {BehalfError} `snapshot_invalid` */
export function readMap(value: unknown, at: string): readonly (readonly [string, unknown])[] {
  return Object.entries(plainObject(value, at));
}

/** Takes an array and reads each element. @throws {BehalfError} `snapshot_invalid` */
export function readList<T>(value: unknown, at: string, read: (element: unknown, at: string) => T): readonly T[] {
  if (!Array.isArray(value)) throw invalid(at, 'not a list');
  return value.map((element, index) => read(element, `${at}[${index}]`));
}

/** Takes a text of at least one character. @throws {BehalfError} `snapshot_invalid` */
export function readText(value: unknown, at: string, maxLength: number = MAX_TEXT_LENGTH): string {
  if (typeof value !== 'string') throw invalid(at, 'not a text');
  if (value.length === 0) throw invalid(at, 'empty');
  // Cedar's reader throws at half a surrogate pair.
  if (!value.isWellFormed()) throw invalid(at, 'not well-formed Unicode');
  if (value.length > maxLength) throw invalid(at, `longer than ${maxLength} characters`);
  return value;
}

/** Takes one of a few texts. @throws {BehalfError} `snapshot_invalid` */
export function readChoice<T extends string>(value: unknown, at: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw invalid(at, `not one of ${choices.join(', ')}`);
  return found;
}

/** Takes an integer within bounds, both included. @throws {BehalfError} `snapshot_invalid` */
export function readInteger(value: unknown, at: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw invalid(at, 'not an integer');
  if (!(value >= least && value <= most)) throw invalid(at, `not within ${least} to ${most}`);
  return value;
}

/** @throws {BehalfError} `snapshot_invalid` */
export function readBoolean(value: unknown, at: string): boolean {
  if (typeof value !== 'boolean') throw invalid(at, 'not true or false');
  return value;
}

/** The place of a member. */
export function join(at: string, name: string): string {
  const shown = name.length > 120 ? `${name.slice(0, 120)}…` : name;
  return at === '' ? shown : `${at}.${shown}`;
}

function plainObject(value: unknown, at: string): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(at, 'not an object');
  return value;
}
