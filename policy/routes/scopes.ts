/** Reading lists of scopes, and of types of details, in policy documents. */
import { isScopeToken } from '../model/scope-token.ts';
import { invalid, readList, readText } from '../snapshot/read-json.ts';

const MAX_SCOPES = 64;
const MAX_DETAIL_NAMES = 8;
const MAX_DETAIL_NAME_LENGTH = 64;

/**
 * Takes a list of distinct scope-tokens.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function readScopes(value: unknown, at: string): readonly string[] {
  const scopes = readList(value, at, readScope);
  if (scopes.length > MAX_SCOPES) throw invalid(at, `more than ${MAX_SCOPES} scopes`);
  if (new Set(scopes).size !== scopes.length) throw invalid(at, 'names a scope twice');
  return scopes;
}

/** @throws {BehalfError} `snapshot_invalid` */
function readScope(value: unknown, at: string): string {
  if (typeof value !== 'string' || !isScopeToken(value)) throw invalid(at, 'not a scope-token (RFC 6749 section 3.3)');
  return value;
}

/**
 * Takes a list of distinct types of `authorization_details`; whether they are registered is judged where all types are known.
 * @throws {BehalfError} `snapshot_invalid`
 */
export function readDetailNames(value: unknown, at: string): readonly string[] {
  const names = readList(value, at, (name, place) => readText(name, place, MAX_DETAIL_NAME_LENGTH));
  if (names.length > MAX_DETAIL_NAMES) throw invalid(at, `more than ${MAX_DETAIL_NAMES} types`);
  if (new Set(names).size !== names.length) throw invalid(at, 'names a type twice');
  return names;
}
