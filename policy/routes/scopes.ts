/** Reading lists of scopes in policy documents. */
import { isScopeToken } from '../model/scope-token.ts';
import { invalid, readList } from '../snapshot/read-json.ts';

const MAX_SCOPES = 64;

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
